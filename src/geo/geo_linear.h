// Kernels of the sparse layer y[b, o] = bias[o] + sum_j w[o, j] x[b, table[o, j]] and its adjoints.
#pragma once
#include "core/exec.h"

namespace sinew {

// y[b, c] = bias[c] + sum over c's edges of w[edge] x[b, source(edge)].
// Forward: the edges of c are c * k .. c * k + k - 1 and source is the table.
// dx: c is an input, its edges come from the reverse table and source(edge) = edge / k.
enum class GeoDirection : uint8_t { forward, reverse };

struct GeoGatherArgs {
  GeoDirection direction;
  DType dtype;
  const void* x;     // (rows, n_x)
  const void* w;     // (n_out, k)
  const void* bias;  // (n_y) or null
  void* y;           // (rows, n_y)
  int64_t rows, n_x, n_y, k;
  const int32_t* table;          // forward: (n_out, k)
  const int32_t* reverse_start;  // reverse: (n_in + 1)
  const int32_t* reverse_edge;   // reverse: (n_out * k)
  void* scratch;                 // slots tiles of n_x * 64
  int64_t slots;                 // tiles worked on at once; has no influence on the result
};
template <class D>
void geo_gather(D& device, const GeoGatherArgs& args);

// dw[o, j] = sum_b dy[b, o] x[b, table[o, j]], rows in fixed order.
struct GeoWeightArgs {
  DType dtype;
  const void* x;   // (rows, n_in)
  const void* dy;  // (rows, n_out)
  void* dw;        // (n_out, k)
  int64_t rows, n_in, n_out, k;
  const int32_t* table;
  void* scratch;  // (n_in + n_out) * rows rounded up to 64
};
template <class D>
void geo_weight_gradient(D& device, const GeoWeightArgs& args);

}  // namespace sinew
