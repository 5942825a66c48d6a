// Kernels of the sine activation y = A exp(-d g(z)) sin(f z + phi), parameters per column.
#pragma once
#include "core/exec.h"

namespace sinew {

constexpr int64_t sine_chunk = 64;  // rows whose parameter gradients are summed together

struct SineBound {
  double low, high;
};

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
  DType dtype;
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
  DType dtype;
  SineParameters raw;
  const void* z;
  const void* y;
  const void* c;
  const void* q;          // (rows, n) dL/dy
  const void* effective;  // (4, n)
  void* dz;               // (rows, n) or null
  void* d_raw;            // (4, n): amplitude, frequency, decay, phase; or null
  void* partial;          // (4, ceil(rows / sine_chunk), n) with d_raw
  int64_t rows, n;
};
template <class D>
void sine_backward(D& device, const SineBackwardArgs& args);

}  // namespace sinew
