// Kernels of the sine activation y = A exp(-d g(z)) sin(f z + phi), parameters per column.
#pragma once
#include "core/exec.h"

namespace sinew {

constexpr int64_t sine_chunk = 64;  // rows whose parameter gradients are summed together

struct SineBound {
  double low, high;
};

// z, and dz, has z_type; y, c and q have y_type, on the CPU the same, on CUDA f32 or bf16. All else
// is f32, or f64 beside f64.

// The raw vectors (n) and how they become A, f, d.
struct SineParameters {
  const void* amplitude;
  const void* frequency;
  const void* decay;
  const void* phase;  // or null
  SineBound amplitude_bound, frequency_bound, decay_bound;
  int decay_mode;  // g(z): 0 |z|, 1 max(z, 0), 2 zero
};

struct SineForwardArgs {
  DType z_type, y_type;
  SineParameters raw;
  const void* z;    // (rows, n)
  void* y;          // (rows, n)
  void* c;          // (rows, n) A exp(-d g) cos(f z + phi) for the backward, or null
  void* effective;  // (4, n) A, f, d, phi: written here, read by both passes
  int64_t rows, n;
};
template <class D>
void sine_forward(D& device, const SineForwardArgs& args);

// dz = q (f c - d g' y); per column: dA = sum q y / A, df = sum q c z, dd = -sum q y g, dphi = sum
// q c, each times the derivative of the raw parameter's softplus, 0 outside its bounds.
struct SineBackwardArgs {
  DType z_type, y_type;
  SineParameters raw;
  const void* z;
  const void* y;
  const void* c;
  const void* q;            // (rows, n) dL/dy
  const void* effective;    // (4, n)
  void* dz;                 // (rows, n) or null
  void* d_raw;              // (4, n): amplitude, frequency, decay, phase; or null
  void* partial;            // with d_raw: (4, chunks, n) on the CPU, (chunks, 4, n) on CUDA
  int64_t rows, n, chunks;  // chunks on the CPU: of sine_chunk rows each
};
template <class D>
void sine_backward(D& device, const SineBackwardArgs& args);

}  // namespace sinew
