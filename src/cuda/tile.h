// How a block of 256 threads is laid over a matrix (r, inner) that it sums along r: `columns`
// neighbours by `lanes` along r, so that neighbouring threads read neighbouring elements whatever
// the shape. What depends on it follows from the shapes alone.
#pragma once
#include <cstdint>

namespace sinew {

struct Tile {
  int columns, lanes;  // powers of two
};
inline Tile tile_of(int64_t r, int64_t inner) {
  Tile tile{1, 1};
  while (tile.columns < 32 && tile.columns < inner) tile.columns *= 2;
  while (tile.columns * tile.lanes < 256 && tile.lanes < r) tile.lanes *= 2;
  return tile;
}

// The same for `outer` matrices: while there are blocks enough, a warp has several elements to
// itself instead of the block, whose threads would have few.
inline Tile tile_of(int64_t outer, int64_t r, int64_t inner) {
  Tile tile = tile_of(r, inner);
  while (tile.columns * tile.lanes > 32 && outer * inner * (tile.lanes / 2) / 256 >= 1024)
    tile.lanes /= 2;
  return tile;
}

// Into how many pieces r is cut, each summed by itself first: few results are shared among about
// 1024 blocks, with 16 elements a thread at least.
inline int64_t pieces_of(int64_t outer, int64_t r, int64_t inner) {
  const Tile tile = tile_of(r, inner);
  const int64_t results = 256 / tile.lanes, blocks = (outer * inner + results - 1) / results;
  const int64_t wanted = blocks > 0 ? 1024 / blocks : 0, most = r / (16 * tile.lanes);
  const int64_t pieces = wanted < most ? wanted : most;
  return pieces > 1 ? pieces : 1;
}

}  // namespace sinew
