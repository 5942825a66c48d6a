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

// What the kernels share for a stack of `count` blocks with the same k. On the CPU:
//   tiles   rows go through all blocks in tiles of `width`, the batch innermost: planes (n, width)
//   saved   per tile and block: planes x, z = fc1's output and, if `keeps_values`, y = act(z) and c
//           (sine: A exp(-d g) cos); else the backward computes y and c again. Null: not saved.
//   stats   (tiles, count, 2, width): mean and 1 / sqrt of the norm
//   ready   (count, geo_ready(n, k)): weights times the norm's scale and so on, by the forward
// On a GPU, where a tile has `width` rows, 4 or 8, in planes (n, 4):
//   inputs  (count - 1, rows, n) of x's type: of each block but the first
//   saved   (count, tiles, width / 4, n, 4): z
//   stats   (count, tiles, 2, width)
//   ready   (count, geo_blocks_ready(n, entries))
struct GeoBlocks {
  DType dtype;
  TileFunction activation;
  BlockNorm norm;
  bool keeps_values;
  double eps;
  const GeoBlockPointers* blocks;
  int64_t count, rows, n, k, rows_per_keep, width, tiles;
  void *saved, *stats, *ready;
  void* scratch;    // on the CPU: (threads, geo_scratch_planes, n, width)
  void* inputs;     // this and the next on a GPU
  int64_t entries;  // of a direction of a table, the largest
};
constexpr int64_t geo_scratch_planes = 5;
constexpr int64_t geo_ready(int64_t n, int64_t k) { return 3 * n * k + 6 * n; }

// --- on a GPU ---------------------------------------------------------------------------------
// A block of threads has a tile of x and one of y, or of the gradients of both, in shared memory.
constexpr int64_t geo_blocks_reserved = 2048;  // bytes of a block's shared memory for sums
constexpr int64_t geo_blocks_shared(int64_t n, int64_t width) { return 2 * 4 * width * n; }

// Sums over the rows of a slice, of all edges and hidden features, lie in memory. They are added to
// at each tile, so those of 132 slices, one per multiprocessor, must fit in the L2.
constexpr int64_t geo_blocks_sums(int64_t n, int64_t entries) {
  return 2 * entries + geo_hidden_sums * n;
}
constexpr int64_t geo_blocks_least_slices = 132;
constexpr int64_t geo_blocks_sums_limit = int64_t{48} << 20;  // bytes; the L2 has 50 MB
constexpr bool geo_blocks_fit(int64_t n, int64_t k, int64_t most_shared) {
  return geo_blocks_shared(n, 4) + geo_blocks_reserved <= most_shared &&
         geo_blocks_least_slices * 4 * geo_blocks_sums(n, n * k) <= geo_blocks_sums_limit;
}
// Tiles of 8 rows where two blocks of threads share a multiprocessor and there are enough of them.
constexpr int64_t geo_blocks_width(int64_t rows, int64_t n) {
  const bool good = geo_blocks_shared(n, 8) + geo_blocks_reserved <= geo_good_shared;
  return good && rows >= 8 * 2 * geo_blocks_least_slices ? 8 : 4;
}
// 4 tiles each, where there are so many that all multiprocessors are busy.
constexpr int64_t geo_blocks_slices(int64_t tiles, int64_t n, int64_t k) {
  const int64_t fitting = geo_blocks_sums_limit / (4 * geo_blocks_sums(n, n * k));
  const int64_t most =
      fitting < 4 * geo_blocks_least_slices ? fitting : 4 * geo_blocks_least_slices;
  const int64_t wanted = tiles / 4 < most ? tiles / 4 : most;
  const int64_t slices = wanted < geo_blocks_least_slices ? geo_blocks_least_slices : wanted;
  return slices < tiles ? slices : tiles;
}
constexpr int64_t geo_blocks_ready(int64_t n, int64_t entries) { return 6 * n + 4 * entries; }

struct GeoBlocksForward {
  GeoBlocks stack;
  const void* x;  // (rows, n)
  void* y;
};
template <class D>
void geo_blocks(D& device, const GeoBlocksForward& args);

struct GeoBlocksBackward {
  GeoBlocks stack;
  const void* x;   // (rows, n), on a GPU
  const void* dy;  // (rows, n)
  void* dx;        // or null on the CPU
  void* d;         // (count, geo_block_gradients().size)
  void* partial;   // (parts, count, size): sums over the tiles of a part; on a GPU (parts,
                   // geo_blocks_sums) and then (count, n k + n)
  int64_t parts;   // depends on the shape alone
};
template <class D>
void geo_blocks_backward(D& device, const GeoBlocksBackward& args);

}  // namespace sinew
