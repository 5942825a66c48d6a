// Softmax over the last axis of x (rows, n), its logarithm and the cross entropy with labels.
#pragma once
#include "core/exec.h"

namespace sinew {

enum class SoftmaxOp : uint8_t {
  softmax,               // y = exp(x - m) / s with m = max x and s = sum exp(x - m)
  log_softmax,           // y = x - m - ln s
  softmax_backward,      // dx = y (dy - sum(dy y)), y the softmax
  log_softmax_backward,  // dx = dy - exp(y) sum(dy), y the log_softmax
};

struct SoftmaxArgs {
  SoftmaxOp op;
  DType dtype;
  const void* in;  // x, or y for the backward
  const void* dy;  // backward only
  void* out;
  int64_t rows, n;
};
template <class D>
void softmax(D& device, const SoftmaxArgs& args);

// Forward: losses[row] = ln s - (x[label] - m), and stats = {m, ln s} of each row.
// Backward (dx not null): dx = (exp(x - m - ln s) - onehot(label)) dloss / rows.
struct CrossEntropyArgs {
  DType dtype;  // of x and dx; losses, stats and dloss are f32, or f64 beside f64
  const void* x;
  const int32_t* labels;
  void* losses;
  void* stats;        // (rows, 2)
  const void* dloss;  // one element
  void* dx;
  int64_t rows, n;
};
template <class D>
void cross_entropy(D& device, const CrossEntropyArgs& args);

}  // namespace sinew
