// Rows of a leading axis by index: y[i] = x[index[i]], and the adjoint y[index[i]] += x[i].
#pragma once
#include "core/exec.h"

namespace sinew {

struct GatherArgs {
  int64_t row_bytes;
  const void* x;         // (rows, ...)
  const int32_t* index;  // (count)
  void* y;               // (count, ...)
  int64_t rows, count;
};
template <class D>
void gather(D& device, const GatherArgs& args);

// On a GPU: 8-byte keys to sort, a power of two of them in whole tiles.
constexpr int64_t scatter_tile = 512;
inline int64_t scatter_keys(int64_t count) {
  int64_t size = scatter_tile;
  while (size < count) size *= 2;
  return size;
}

struct ScatterArgs {
  DType dtype;
  const void* x;         // (count, row)
  const int32_t* index;  // (count)
  void* y;               // (rows, row)
  void* keys;            // scatter_keys(count) of 8 bytes; null on the CPU
  int64_t rows, count, row;
};
template <class D>
void scatter_add(D& device, const ScatterArgs& args);

}  // namespace sinew
