// Reductions of x seen as (outer, r, inner) over r, to y (outer, inner).
#pragma once
#include "core/exec.h"

namespace sinew {

enum class ReduceOp : uint8_t { sum, max, min, argmax };

// The CPU cuts long sums into pieces of this many elements.
constexpr int64_t reduce_piece = 4096;

// What a CUDA block of 256 threads works on: `columns` neighbouring results of one outer index, for
// each `lanes` threads along r, and so many outer indices as fit. Powers of two.
struct ReduceTile {
  int columns, lanes;
};
inline ReduceTile reduce_tile(int64_t r, int64_t inner) {
  ReduceTile tile{1, 1};
  while (tile.columns < 32 && tile.columns < inner) tile.columns *= 2;
  while (tile.columns * tile.lanes < 256 && tile.lanes < r) tile.lanes *= 2;
  return tile;
}

// Pieces of r for CUDA: few results are shared among about 1024 blocks, 16 elements a thread at
// least.
inline int64_t reduce_pieces(int64_t outer, int64_t r, int64_t inner) {
  const ReduceTile tile = reduce_tile(r, inner);
  const int64_t at_once = 256 / tile.lanes;
  const int64_t blocks = (outer * inner + at_once - 1) / at_once, least = 16 * tile.lanes;
  const int64_t wanted = blocks > 0 ? 1024 / blocks : 0, most = r / least;
  return wanted <= 1 || most <= 1 ? 1 : wanted < most ? wanted : most;
}

struct ReduceArgs {
  ReduceOp op;
  DType x_type;
  DType y_type;  // x_type on the CPU; f32 or bf16 for the other on CUDA; of argmax i32
  const void* x;
  void* y;
  void* partial;  // (outer, pieces, inner) results of pieces, combined in order, if pieces > 1
  int64_t outer, r, inner, pieces;  // argmax needs inner == 1
};
template <class D>
void reduce(D& device, const ReduceArgs& args);

}  // namespace sinew
