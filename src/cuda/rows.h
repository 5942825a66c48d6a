// Kernels along rows (rows, n) and down columns. A row belongs to a team: a warp or a part of it,
// or a block, so large that its threads hold the row in registers; only rows above 8192 elements
// are read again for each pass over them. Sums over a team are in a fixed order.
#pragma once
#include <cmath>

#include "cuda/kernel.h"
#include "cuda/tile.h"

namespace sinew {
namespace {

// The threads of one row: `threads` > 32 make up the block; else the block has 256 threads, of
// which 32 make a team, or with `threads` = 1 as many as `part` says, a power of two below.
template <int threads>
struct Team {
  static constexpr int block = threads > 32 ? threads : threads_per_block;
  int part = threads;

  __host__ __device__ int size() const { return threads > 1 ? threads : part; }
  __device__ int lane() const { return static_cast<int>(threadIdx.x) & (size() - 1); }
  __device__ int index() const { return static_cast<int>(threadIdx.x) / size(); }  // in the block
  __device__ int teams() const { return block / size(); }
  __device__ float sum(float x) const {  // every thread of the block calls it
    if constexpr (threads > 32) {
      return block_sum(x);
    } else {
      for (int step = size() / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
      return x;
    }
  }
  __device__ float max(float x) const {  // NaN gets lost; every thread of the block calls it
    for (int step = threads > 32 ? 16 : size() / 2; step > 0; step /= 2)
      x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    if constexpr (threads > 32) {
      __shared__ float of_warp[32];
      __syncthreads();  // an earlier call's readers are done
      if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
      __syncthreads();
      for (int warp = 0; warp < threads / 32; ++warp) x = fmaxf(x, of_warp[warp]);
    }
    return x;
  }
};

// f(i, k) for the elements i of a row that this lane has, the k-th in its registers; each = 0: a
// row of any length.
template <int each, class F>
__device__ __forceinline__ void for_cells(int lane, int size, int64_t n, const F& f) {
  if constexpr (each > 0) {
#pragma unroll
    for (int k = 0; k < each; ++k) {
      const int i = k * size + lane;
      if (i < n) f(i, k);
    }
  } else {
    for (int64_t i = lane; i < n; i += size) f(i, 0);
  }
}

// A row of n elements, in registers if each > 0.
template <int each, class T>
struct Row {
  const T* p;
  float held[each > 0 ? each : 1];

  __device__ void load(const T* from, int lane, int size, int64_t n) {
    p = from;
    if constexpr (each > 0) {
#pragma unroll
      for (int k = 0; k < each; ++k) {
        const int i = k * size + lane;
        held[k] = i < n ? widen(p[i]) : 0;
      }
    }
  }
  template <class I>
  __device__ float get(I i, int k) const {
    if constexpr (each > 0)
      return held[k];
    else
      return widen(p[i]);
  }
};

// Calls f(shape) with how a row of n is held: by which team, and how many elements in the
// registers of each of its threads, or 0.
template <int threads_, int each_>
struct RowShape {
  static constexpr int threads = threads_, each = each_;
  Team<threads_> team;
};
template <class F>
void by_row_shape(int64_t n, const F& f) {
  int part = 1;
  while (part < 32 && part < n) part *= 2;
  if (n <= 32) return f(RowShape<1, 1>{{part}});
  if (n <= 128) return f(RowShape<32, 4>());
  if (n <= 512) return f(RowShape<128, 4>());
  if (n <= 2048) return f(RowShape<256, 8>());
  if (n <= 8192) return f(RowShape<512, 16>());
  f(RowShape<1024, 0>());
}

// Blocks for `rows` that are taken in strides of the grid: two full loads of a large GPU.
template <int threads>
unsigned row_blocks(int64_t rows, Team<threads> team) {
  const int64_t per_block = Team<threads>::block / team.size();
  const int64_t blocks = (rows + per_block - 1) / per_block, most = (1 << 19) / team.block;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

// Adds up `x` over the lanes of a tile, in order, in the threads with lane 0. Every thread calls
// it.
__device__ __forceinline__ float sum_lanes(float x, Tile tile) {
  __shared__ float of_thread[threads_per_block];
  const int span = tile.columns * tile.lanes, t = static_cast<int>(threadIdx.x);
  for (int step = tile.columns; step < 32 && step < span; step *= 2)
    x += __shfl_xor_sync(0xffffffffu, x, step);
  if (span <= 32) return x;
  __syncthreads();  // an earlier call's readers are done
  of_thread[t] = x;
  __syncthreads();
  const int first = t / span * span + t % tile.columns;
  x = of_thread[first];
  for (int warp = 32; warp < span; warp += 32) x += of_thread[first + warp];
  return x;
}

// finish(i, sum over p of partial[p * width + i]) for each i < width.
template <class F>
__global__ void __launch_bounds__(threads_per_block)
    column_sums_kernel(const float* __restrict__ partial, int64_t pieces, int64_t width, F finish) {
  constexpr Tile tile{8, 32};
  const int t = static_cast<int>(threadIdx.x);
  const int64_t i = int64_t{blockIdx.x} * tile.columns + t % tile.columns;
  float sum = 0;
  if (i < width) {
#pragma unroll 8
    for (int64_t p = t / tile.columns; p < pieces; p += tile.lanes) sum += partial[p * width + i];
  }
  sum = sum_lanes(sum, tile);
  if (i < width && t < tile.columns) finish(i, sum);
}
template <class F>
void column_sums(const Cuda& device, const void* partial, int64_t pieces, int64_t width,
                 const F& finish) {
  if (width > 0)
    launch(column_sums_kernel<F>, static_cast<unsigned>((width + 7) / 8), threads_per_block, 0,
           stream_of(device), static_cast<const float*>(partial), pieces, width, finish);
}

}  // namespace
}  // namespace sinew
