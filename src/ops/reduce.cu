// One kernel for every reduction of (outer, r, inner): a block's 256 threads are a tile of columns
// and lanes along r (Tile), so that neighbours read neighbours whatever the shape. A thread
// takes every `lanes`-th element of its piece; lanes are combined by shuffles, then warps through
// shared memory. With pieces > 1 the same kernel combines their results: fixed order throughout.
#include <climits>
#include <cmath>

#include "cuda/kernel.h"
#include "cuda/tile.h"
#include "ops/reduce.h"

namespace sinew {
namespace {

// What is known of some elements: `of` one with index k, `merged` of two disjoint sets.
struct Sum {
  using State = float;
  static __device__ State none() { return 0; }
  static __device__ State of(float x, int64_t) { return x; }
  static __device__ State merged(State a, State b) { return a + b; }
};
struct Max {  // NaN wins
  using State = float;
  static __device__ State none() { return -INFINITY; }
  static __device__ State of(float x, int64_t) { return x; }
  static __device__ State merged(State a, State b) { return a != a || a > b ? a : b; }
};
struct Min {
  using State = float;
  static __device__ State none() { return INFINITY; }
  static __device__ State of(float x, int64_t) { return x; }
  static __device__ State merged(State a, State b) { return a != a || a < b ? a : b; }
};
struct Best {
  float value;
  int32_t index;
};
struct ArgMax {  // the first of equals; NaN is passed over, but nothing beats a NaN in front
  using State = Best;
  static __device__ State none() { return {-INFINITY, INT_MAX}; }
  static __device__ State of(float x, int64_t k) {
    if (x == x) return {x, static_cast<int32_t>(k)};
    return k == 0 ? State{INFINITY, -1} : none();
  }
  static __device__ State of(State x, int64_t) { return x; }
  static __device__ State merged(State a, State b) {
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
  }
};

__device__ __forceinline__ Best widen(Best x) { return x; }
__device__ __forceinline__ float from_lane(float x, int step) {
  return __shfl_xor_sync(0xffffffffu, x, step);
}
__device__ __forceinline__ Best from_lane(Best x, int step) {
  return {__shfl_xor_sync(0xffffffffu, x.value, step), __shfl_xor_sync(0xffffffffu, x.index, step)};
}
__device__ __forceinline__ void put(float* y, float x) { *y = x; }
__device__ __forceinline__ void put(bf16* y, float x) { *y = Store<bf16>::from(x); }
__device__ __forceinline__ void put(Best* y, Best x) { *y = x; }
__device__ __forceinline__ void put(int32_t* y, Best x) { *y = x.index < 0 ? 0 : x.index; }

struct Layout {
  int64_t outer, r, inner;
  int64_t piece;  // as many of r are one
  unsigned pieces, column_tiles;
  Tile tile;
};

// The tile's result, in the threads with lane 0. Every thread calls it.
template <class R>
__device__ __forceinline__ typename R::State combined(typename R::State state, Tile tile) {
  __shared__ typename R::State of_warp[threads_per_block];
  const int span = tile.columns * tile.lanes;
  for (int step = tile.columns; step < 32 && step < span; step *= 2)
    state = R::merged(state, from_lane(state, step));
  if (span <= 32) return state;
  of_warp[threadIdx.x] = state;
  __syncthreads();
  const int first = static_cast<int>(threadIdx.x) / span * span;
  const int column = static_cast<int>(threadIdx.x) % tile.columns;
  state = of_warp[first + column];
  for (int warp = 32; warp < span; warp += 32)
    state = R::merged(state, of_warp[first + warp + column]);
  return state;
}

template <class R, class X, class Y>
__global__ void __launch_bounds__(threads_per_block)
    reduce_kernel(const X* __restrict__ x, Y* __restrict__ y, Layout at) {
  const int columns = at.tile.columns, lanes = at.tile.lanes, t = static_cast<int>(threadIdx.x);
  const unsigned group = blockIdx.x / at.column_tiles;
  const int64_t column = int64_t{blockIdx.x % at.column_tiles} * columns + t % columns;
  const int64_t piece = group % at.pieces;
  const int64_t o =
      int64_t{group / at.pieces} * (threads_per_block / (columns * lanes)) + t / (columns * lanes);
  const bool inside = o < at.outer && column < at.inner;
  const int lane = t / columns % lanes;

  const int64_t end = (piece + 1) * at.piece < at.r ? (piece + 1) * at.piece : at.r;
  typename R::State state = R::none();
  if (inside) {
    const X* p = x + o * at.r * at.inner + column;
#pragma unroll 8
    for (int64_t k = piece * at.piece + lane; k < end; k += lanes)
      state = R::merged(state, R::of(widen(p[k * at.inner]), k));
  }
  state = combined<R>(state, at.tile);
  if (inside && lane == 0) put(y + (o * at.pieces + piece) * at.inner + column, state);
}

template <class R, class X, class Y>
void run(const Cuda& device, const void* x, void* y, const ReduceArgs& a) {
  const int64_t piece = (a.r + a.pieces - 1) / a.pieces;
  const Tile tile = tile_of(a.outer * a.pieces, piece, a.inner);
  const int64_t column_tiles = (a.inner + tile.columns - 1) / tile.columns;
  const int64_t groups = threads_per_block / (tile.columns * tile.lanes);
  const int64_t blocks = column_tiles * a.pieces * ((a.outer + groups - 1) / groups);
  if (blocks == 0) return;
  const Layout at{a.outer,
                  a.r,
                  a.inner,
                  piece,
                  static_cast<unsigned>(a.pieces),
                  static_cast<unsigned>(column_tiles),
                  tile};
  launch(reduce_kernel<R, X, Y>, static_cast<unsigned>(blocks), threads_per_block, 0,
         stream_of(device), static_cast<const X*>(x), static_cast<Y*>(y), at);
}

template <class R, class X, class Y>
void reduce_by(const Cuda& device, const ReduceArgs& a) {
  using State = typename R::State;
  if (a.pieces == 1) return run<R, X, Y>(device, a.x, a.y, a);
  run<R, X, State>(device, a.x, a.partial, a);
  ReduceArgs last = a;
  last.r = a.pieces;
  last.pieces = 1;
  run<R, State, Y>(device, a.partial, a.y, last);
}

}  // namespace

template <>
void reduce(Cuda& device, const ReduceArgs& args) {
  by_storage_type(args.x_type, [&](auto x) {
    using X = decltype(x);
    switch (args.op) {
      case ReduceOp::sum:
        return by_storage_type(
            args.y_type, [&](auto y) { return reduce_by<Sum, X, decltype(y)>(device, args); });
      case ReduceOp::max: return reduce_by<Max, X, X>(device, args);
      case ReduceOp::min: return reduce_by<Min, X, X>(device, args);
      case ReduceOp::argmax: return reduce_by<ArgMax, X, int32_t>(device, args);
    }
  });
}

}  // namespace sinew
