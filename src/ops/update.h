// One pass over a flat parameter block. `clock` is {learning rate, steps taken} in device memory:
// the update reads the rate and adds 1 to the steps.
#pragma once
#include "core/exec.h"

namespace sinew {

struct AdamArgs {
  DType dtype;
  void* p;
  const void* g;
  void* m;
  void* v;
  double* clock;
  int64_t n;
  double beta1, beta2, eps, decay, decoupled_decay;
};
template <class D>
void adam(D& device, const AdamArgs& args);

struct SgdArgs {
  DType dtype;
  void* p;
  const void* g;
  void* velocity;  // null: no momentum
  double* clock;
  int64_t n;
  double momentum, decay;
};
template <class D>
void sgd(D& device, const SgdArgs& args);

struct ClipArgs {  // g *= min(1, max_norm / (*norm + 1e-6))
  DType dtype;
  void* g;
  const void* norm;
  int64_t n;
  double max_norm;
};
template <class D>
void clip(D& device, const ClipArgs& args);

}  // namespace sinew
