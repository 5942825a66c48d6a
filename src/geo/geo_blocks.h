// Kernels of a stack of residual blocks, x + alpha keep fc2(act(fc1(norm(x)))), all of n features.
#pragma once
#include "core/exec.h"
#include "geo/geo_linear.h"
#include "ops/sine.h"

namespace sinew {

enum class TileFunction : uint8_t { sine, relu, tanh };  // BlockActivation of geo.h
enum class BlockNorm : uint8_t { none, rms, layer };

// A block's operands; null where it has none. Parameters are f32, or f64 beside f64.
struct GeoBlockPointers {
  const void* alpha;    // (1)
  const void* scale;    // (n) of the norm
  const void* shift;    // (n)
  const void *w1, *w2;  // (n, k)
  const void *b1, *b2;  // (n)
  const void* keep;     // (rows / rows_per_keep) factor of the branch
  SineParameters sine;  // (n) each
  int64_t k;
  const int32_t* table;           // (n, k); this and the next three on the CPU
  const int32_t* reverse_start;   // (n + 1)
  const int32_t* reverse_edge;    // (n k)
  const int32_t* reverse_source;  // (n k)
  GeoSide forward, reverse;       // on a GPU
};

// Where a block's gradients start in a vector of `size`. While sums over rows are collected, those
// of weights stand in the order of the reverse table, and from b1 on those of hidden feature i at
// b1 + 6 i: b1, b2, amplitude, frequency, decay, phase.
constexpr int64_t geo_hidden_sums = 6;
struct GeoBlockGradients {
  int64_t w1, w2, b1, b2, sine, scale, shift, alpha, size;
};
constexpr GeoBlockGradients geo_block_gradients(int64_t n, int64_t k) {
  const int64_t b1 = 2 * n * k, scale = b1 + geo_hidden_sums * n;
  return {0,         n * k,         b1,
          b1 + n,    b1 + 2 * n,    scale,
          scale + n, scale + 2 * n, (scale + 2 * n + 16) / 16 * 16};
}

// What the CPU's kernels share for a stack of `count` blocks with the same k.
//   tiles   rows go through all blocks in tiles of `width`, the batch innermost: planes (n, width)
//   saved   per tile and block: planes x, z = fc1's output and, if `keeps_values`, y = act(z) and c
//           (sine: A exp(-d g) cos); else the backward computes y and c again. Null: not saved.
//   stats   (tiles, count, 2, width): mean and 1 / sqrt of the norm
//   ready   (count, geo_ready(n, k)): weights times the norm's scale, and so on; made by the
//   forward
struct GeoBlocks {
  DType dtype;
  TileFunction activation;
  BlockNorm norm;
  bool keeps_values;
  double eps;
  const GeoBlockPointers* blocks;
  int64_t count, rows, n, k, rows_per_keep, width, tiles;
  void *saved, *stats, *ready;
  void* scratch;  // (threads, geo_scratch_planes, n, width)
};
constexpr int64_t geo_scratch_planes = 5;
constexpr int64_t geo_ready(int64_t n, int64_t k) { return 3 * n * k + 6 * n; }

struct GeoBlocksForward {
  GeoBlocks stack;
  const void* x;  // (rows, n)
  void* y;
};
template <class D>
void geo_blocks(D& device, const GeoBlocksForward& args);

struct GeoBlocksBackward {
  GeoBlocks stack;
  const void* dy;  // (rows, n)
  void* dx;        // or null
  void* d;         // (count, geo_block_gradients().size)
  void* partial;   // (parts, count, size): sums over the tiles of a part
  int64_t parts;   // depends on the shape alone
};
template <class D>
void geo_blocks_backward(D& device, const GeoBlocksBackward& args);

}  // namespace sinew
