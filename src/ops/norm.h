// Norms over the last axis of x (rows, n): y = (x - mean) / sqrt(var + eps) * weight + bias, or
// without centring (mean 0, var = mean of x^2, no bias).
#pragma once
#include "core/exec.h"

namespace sinew {

struct NormArgs {
  DType dtype;
  bool centred;
  const void* x;
  const void* weight;  // (n)
  const void* bias;    // (n) or null
  void* y;
  void* stats;  // (rows, 2): mean and 1 / sqrt(var + eps)
  int64_t rows, n;
  double eps;
};
template <class D>
void norm(D& device, const NormArgs& args);

// Parameter gradients are summed over fixed chunks of rows first, then over the chunks in order.
constexpr int64_t norm_chunk = 64;

struct NormBackwardArgs {
  DType dtype;
  bool centred;
  const void* x;
  const void* weight;
  const void* stats;
  const void* dy;
  void* dx;
  void* dparameters;  // (2, n): dweight, dbias
  void* partial;      // (ceil(rows / norm_chunk), 2, n)
  int64_t rows, n;
};
template <class D>
void norm_backward(D& device, const NormBackwardArgs& args);

}  // namespace sinew
