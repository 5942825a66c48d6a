// One pass over a flat parameter block. `clock` is {learning rate, steps taken} in device memory:
// the update reads the rate and adds 1 to the steps. It does nothing where *go, if given, is 0.
#pragma once
#include "core/exec.h"
#include "core/hd.h"

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
  const double* go;
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
  const double* go;
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

// The words of a tally, in their order (ops.h).
struct Tally {
  double go, steps, loss, rows, losses_nonfinite, norms_nonfinite, norm, norm_max, norms;
};
constexpr int tally_words = 9;
static_assert(sizeof(Tally) == tally_words * sizeof(double));

struct TallyArgs {
  DType dtype;
  Tally* tally;
  const void* loss;
  const void* norm;
  double rows;
  bool stops, ignores;
};
template <class D>
void tally(D& device, const TallyArgs& args);

SINEW_HD void add_step(Tally& t, double loss, double norm, const TallyArgs& a) {
  const bool finite_loss = loss - loss == 0, finite_norm = norm - norm == 0,
             finite = finite_loss && finite_norm;
  if (a.stops && (t.go == 0 || !finite)) {
    t.go = 0;
    return;
  }
  t.go = finite || a.ignores ? 1 : 0;
  t.steps += 1;
  if (t.go != 0) {
    t.loss += loss * a.rows;
    t.rows += a.rows;
  }
  if (!finite_loss) t.losses_nonfinite += 1;
  if (!finite_norm) {
    t.norms_nonfinite += 1;
    return;
  }
  t.norm += norm;
  if (norm > t.norm_max) t.norm_max = norm;
  t.norms += 1;
}

struct Part {
  const void* x;
  int64_t first, bytes;  // of y
};
struct PackArgs {  // y[first ...] = x of each part; multiples of 4 bytes
  void* y;
  const Part* parts;
  int count;
};
template <class D>
void pack(D& device, const PackArgs& args);

}  // namespace sinew
