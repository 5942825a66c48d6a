// A block is a tile of columns by rows (cuda/tile.h): a thread keeps the four parameters of its
// column and goes down the rows, so that each element is read once and written once, coalesced.
// First the parameters are made from the raw ones, one thread per column. The backward's parameter
// gradients are summed over fixed chunks of rows, a block's threads first, then over the chunks.
// sincosf reduces its argument exactly, also where it is huge.
#include "ops/sine.h"

#include "core/scalar.h"
#include "cuda/rows.h"

namespace sinew {
namespace {

constexpr double frequency_floor = 1e-6;

__device__ __forceinline__ float effective_value(const void* raw, int64_t i, double floor,
                                                 SineBound bound) {
  const float v = Softplus::f(static_cast<const float*>(raw)[i], {}) + static_cast<float>(floor);
  const float low = static_cast<float>(bound.low), high = static_cast<float>(bound.high);
  return v < low ? low : v > high ? high : v;
}
__device__ __forceinline__ float raw_slope(const void* raw, int64_t i, double floor,
                                           SineBound bound) {  // d effective / d raw
  const float x = static_cast<const float*>(raw)[i];
  const float v = Softplus::f(x, {}) + static_cast<float>(floor);
  const bool outside = v < static_cast<float>(bound.low) || v > static_cast<float>(bound.high);
  return outside ? 0.0f : Softplus::d(x, {});
}

struct Prepare {
  SineParameters raw;
  float* effective;
  int64_t n;
  __device__ void operator()(int64_t i) const {
    effective[i] = effective_value(raw.amplitude, i, 0, raw.amplitude_bound);
    effective[n + i] = effective_value(raw.frequency, i, frequency_floor, raw.frequency_bound);
    effective[2 * n + i] = effective_value(raw.decay, i, 0, raw.decay_bound);
    effective[3 * n + i] = raw.phase ? static_cast<const float*>(raw.phase)[i] : 0;
  }
};

__device__ __forceinline__ float decay_argument(int mode, float z) {
  return mode == 0 ? fabsf(z) : mode == 1 && z > 0 ? z : 0;
}
__device__ __forceinline__ float decay_slope(int mode, float z) {
  if (mode == 2) return 0;
  return z > 0 ? 1 : mode == 0 && z < 0 ? -1 : 0;
}

// The thread's column and its rows [first, end) in steps of the tile's lanes; none outside.
struct Place {
  Tile tile;
  int64_t chunks, column, chunk, first, end;
  bool inside;
};
__device__ __forceinline__ Place place_of(Tile tile, int64_t rows, int64_t n, int64_t chunks) {
  Place p{tile, chunks, 0, 0, 0, 0, false};
  const int64_t column_tiles = (n + tile.columns - 1) / tile.columns;
  const int t = static_cast<int>(threadIdx.x);
  p.chunk = blockIdx.x / column_tiles;
  p.column = blockIdx.x % column_tiles * tile.columns + t % tile.columns;
  p.inside = t < tile.columns * tile.lanes && p.column < n;
  p.end = p.inside ? rows * (p.chunk + 1) / chunks : 0;
  p.first = rows * p.chunk / chunks + t / tile.columns;
  return p;
}

template <class Z, class Y>
__global__ void __launch_bounds__(threads_per_block)
    forward_kernel(SineForwardArgs a, Tile tile, int64_t chunks) {
  const Place at = place_of(tile, a.rows, a.n, chunks);
  if (!at.inside) return;
  const float* p = static_cast<const float*>(a.effective) + at.column;
  const float amplitude = p[0], f = p[a.n], d = p[2 * a.n], phase = p[3 * a.n];
#pragma unroll 4
  for (int64_t row = at.first; row < at.end; row += tile.lanes) {
    const int64_t i = row * a.n + at.column;
    const float z = widen(static_cast<const Z*>(a.z)[i]);
    float sine, cosine;
    sincosf(f * z + phase, &sine, &cosine);
    float e = amplitude;
    if (a.raw.decay_mode != 2) e *= expf(-d * decay_argument(a.raw.decay_mode, z));
    static_cast<Y*>(a.y)[i] = Store<Y>::from(e * sine);
    if (a.c) static_cast<Y*>(a.c)[i] = Store<Y>::from(e * cosine);
  }
}

template <class Z, class Y>
__global__ void __launch_bounds__(threads_per_block)
    backward_kernel(SineBackwardArgs a, Tile tile) {
  const Place at = place_of(tile, a.rows, a.n, a.chunks);
  const float* p = static_cast<const float*>(a.effective) + at.column;
  const float f = at.inside ? p[a.n] : 0, d = at.inside ? p[2 * a.n] : 0;
  float sums[4] = {0, 0, 0, 0};
#pragma unroll 4
  for (int64_t row = at.first; row < at.end; row += tile.lanes) {
    const int64_t i = row * a.n + at.column;
    const float z = widen(static_cast<const Z*>(a.z)[i]), q = widen(static_cast<const Y*>(a.q)[i]);
    const float qy = q * widen(static_cast<const Y*>(a.y)[i]);
    const float qc = q * widen(static_cast<const Y*>(a.c)[i]);
    if (a.dz)
      static_cast<Z*>(a.dz)[i] = Store<Z>::from(f * qc - d * decay_slope(a.raw.decay_mode, z) * qy);
    sums[0] += qy;
    sums[1] += qc * z;
    sums[2] -= qy * decay_argument(a.raw.decay_mode, z);
    sums[3] += qc;
  }
  if (!a.d_raw) return;
  float* partial = static_cast<float*>(a.partial) + at.chunk * 4 * a.n + at.column;
  for (int k = 0; k < 4; ++k) {
    const float sum = sum_lanes(sums[k], tile);
    if (at.inside && threadIdx.x < static_cast<unsigned>(tile.columns)) partial[k * a.n] = sum;
  }
}

struct Finish {
  SineBackwardArgs a;
  __device__ void operator()(int64_t at, float sum) const {
    const int64_t k = at / a.n, i = at % a.n;
    const float amplitude = static_cast<const float*>(a.effective)[i];
    if (k == 0)
      sum = amplitude == 0
                ? 0
                : sum / amplitude * raw_slope(a.raw.amplitude, i, 0, a.raw.amplitude_bound);
    if (k == 1) sum *= raw_slope(a.raw.frequency, i, frequency_floor, a.raw.frequency_bound);
    if (k == 2) sum *= raw_slope(a.raw.decay, i, 0, a.raw.decay_bound);
    static_cast<float*>(a.d_raw)[at] = sum;
  }
};

// f(grid, Z(), Y()) for the storage types of z and y.
template <class Args, class F>
void for_tiles(const Args& a, Tile tile, int64_t chunks, const F& f) {
  const int64_t blocks = (a.n + tile.columns - 1) / tile.columns * chunks;
  if (blocks == 0 || a.rows == 0) return;
  by_storage_type(a.z_type, [&](auto z) {
    by_storage_type(a.y_type, [&](auto y) { f(static_cast<unsigned>(blocks), z, y); });
  });
}

}  // namespace

template <>
void sine_forward(Cuda& device, const SineForwardArgs& args) {
  for_each(device, args.n, Prepare{args.raw, static_cast<float*>(args.effective), args.n});
  const Tile tile = tile_of(args.rows, args.n);
  const int64_t each = 4 * tile.lanes, chunks = (args.rows + each - 1) / each;
  for_tiles(args, tile, chunks, [&](unsigned grid, auto z, auto y) {
    launch(forward_kernel<decltype(z), decltype(y)>, grid, threads_per_block, 0, stream_of(device),
           args, tile, chunks);
  });
}

template <>
void sine_backward(Cuda& device, const SineBackwardArgs& args) {
  const Tile tile = tile_of(args.rows, args.n);
  for_tiles(args, tile, args.chunks, [&](unsigned grid, auto z, auto y) {
    launch(backward_kernel<decltype(z), decltype(y)>, grid, threads_per_block, 0, stream_of(device),
           args, tile);
  });
  if (args.d_raw)
    column_sums(device, args.partial, args.rows == 0 ? 0 : args.chunks, 4 * args.n, Finish{args});
}

}  // namespace sinew
