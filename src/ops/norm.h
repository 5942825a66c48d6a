// Norms over the last axis of x (rows, n): y = (x - mean) / sqrt(var + eps) * weight + bias, or
// without centring (mean 0, var = mean of x^2, no bias).
#pragma once
#include "core/exec.h"

namespace sinew {

// dtype: of x, y and their gradients. All else is f32, or f64 beside f64.
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

// Parameter gradients are summed over fixed chunks of rows first, then over the chunks in order. On
// CUDA a chunk is a block.
constexpr int64_t norm_chunk = 64;
inline int64_t norm_chunks_on_cuda(int64_t rows) {
  const int64_t wanted = rows / 16 < 512 ? 512 : rows / 16 < 2048 ? rows / 16 : 2048;
  return rows < wanted ? rows : wanted;
}

struct NormBackwardArgs {
  DType dtype;
  bool centred;
  const void* x;
  const void* weight;
  const void* stats;
  const void* dy;
  void* dx;
  void* dparameters;        // (2, n): dweight, dbias
  void* partial;            // (chunks, 2, n)
  int64_t rows, n, chunks;  // chunks on the CPU: of norm_chunk rows each
};
template <class D>
void norm_backward(D& device, const NormBackwardArgs& args);

}  // namespace sinew
