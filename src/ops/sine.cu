// A block is a tile of columns by rows (cuda/tile.h): a thread keeps the four parameters of its
// column and goes down the rows, so that each element is read once and written once, coalesced.
// First the parameters are made from the raw ones, one thread per column. The backward's parameter
// gradients are summed over fixed chunks of rows, a block's threads first, then over the chunks.
// sincosf reduces its argument exactly, also where it is huge.
#include "ops/sine_cuda.h"

#include "cuda/rows.h"

namespace sinew {
namespace {

struct Prepare {
  SineParameters raw;
  float* effective;
  int64_t n;
  __device__ void operator()(int64_t i) const { make_effective(raw, i, n, effective); }
};

// Rows [first, end) of one column, in steps of the tile's lanes; none outside.
struct Place {
  int64_t column, first, end;
  bool inside;
};
struct Chunks {  // of `rows` each; one block has a chunk of a tile of columns
  int64_t rows;
  unsigned column_tiles;
  Tile tile;
};
__device__ __forceinline__ Place place_of(const Chunks& chunks, int64_t rows, int64_t n) {
  const Tile tile = chunks.tile;
  const int t = static_cast<int>(threadIdx.x);
  const int64_t chunk = blockIdx.x / chunks.column_tiles;
  Place p{};
  p.column = int64_t{blockIdx.x % chunks.column_tiles} * tile.columns + t % tile.columns;
  p.inside = t < tile.columns * tile.lanes && p.column < n;
  p.first = chunk * chunks.rows + t / tile.columns;
  p.end = (chunk + 1) * chunks.rows < rows ? (chunk + 1) * chunks.rows : rows;
  if (!p.inside) p.end = p.first;
  return p;
}

constexpr int batch = 4;  // rows that a thread reads before it writes the first

// x[row n + column] of `batch` rows.
template <class T>
struct Column {
  float value[batch];
  __device__ Column(const void* x, const Place& at, int64_t row, int lanes, int64_t n) {
    const T* p = static_cast<const T*>(x) + at.column;
#pragma unroll
    for (int k = 0; k < batch; ++k, row += lanes) value[k] = row < at.end ? widen(p[row * n]) : 0;
  }
};

template <class Z, class Y>
__global__ void __launch_bounds__(threads_per_block)
    forward_kernel(SineForwardArgs a, Chunks chunks) {
  const Place at = place_of(chunks, a.rows, a.n);
  if (!at.inside) return;
  const float* p = static_cast<const float*>(a.effective) + at.column;
  const float amplitude = p[0], f = p[a.n], d = p[2 * a.n], phase = p[3 * a.n];
  const int lanes = chunks.tile.lanes;
  for (int64_t first = at.first; first < at.end; first += batch * lanes) {
    const Column<Z> z(a.z, at, first, lanes, a.n);
#pragma unroll
    for (int k = 0; k < batch; ++k) {
      const int64_t row = first + k * lanes, i = row * a.n + at.column;
      if (row >= at.end) break;
      float sine, cosine;
      sincosf(f * z.value[k] + phase, &sine, &cosine);
      float e = amplitude;
      if (a.raw.decay_mode != 2) e *= expf(-d * decay_argument(a.raw.decay_mode, z.value[k]));
      static_cast<Y*>(a.y)[i] = Store<Y>::from(e * sine);
      if (a.c) static_cast<Y*>(a.c)[i] = Store<Y>::from(e * cosine);
    }
  }
}

template <class Z, class Y>
__global__ void __launch_bounds__(threads_per_block)
    backward_kernel(SineBackwardArgs a, Chunks chunks) {
  const Place at = place_of(chunks, a.rows, a.n);
  const float* p = static_cast<const float*>(a.effective) + at.column;
  const float f = at.inside ? p[a.n] : 0, d = at.inside ? p[2 * a.n] : 0;
  const int lanes = chunks.tile.lanes, mode = a.raw.decay_mode;
  float sums[4] = {0, 0, 0, 0};
  for (int64_t first = at.first; first < at.end; first += batch * lanes) {
    const Column<Z> z(a.z, at, first, lanes, a.n);
    const Column<Y> q(a.q, at, first, lanes, a.n), y(a.y, at, first, lanes, a.n),
        c(a.c, at, first, lanes, a.n);
#pragma unroll
    for (int k = 0; k < batch; ++k) {
      const int64_t row = first + k * lanes;
      if (row >= at.end) break;
      const float qy = q.value[k] * y.value[k], qc = q.value[k] * c.value[k];
      if (a.dz)
        static_cast<Z*>(a.dz)[row * a.n + at.column] =
            Store<Z>::from(f * qc - d * decay_slope(mode, z.value[k]) * qy);
      sums[0] += qy;
      sums[1] += qc * z.value[k];
      sums[2] -= qy * decay_argument(mode, z.value[k]);
      sums[3] += qc;
    }
  }
  if (!a.d_raw) return;
  float* partial = static_cast<float*>(a.partial) + at.column;
  partial += blockIdx.x / chunks.column_tiles * 4 * a.n;
  for (int k = 0; k < 4; ++k) {
    const float sum = sum_lanes(sums[k], chunks.tile);
    if (at.inside && static_cast<int>(threadIdx.x) < chunks.tile.columns) partial[k * a.n] = sum;
  }
}

struct Finish {
  SineBackwardArgs a;
  __device__ void operator()(int64_t at, float sum) const {
    const int64_t k = at / a.n, i = at % a.n;
    static_cast<float*>(a.d_raw)[at] =
        raw_gradient(a.raw, static_cast<int>(k), i, static_cast<const float*>(a.effective), sum);
  }
};

// f(grid, chunks, Z(), Y()) for `count` chunks of rows and the storage types of z and y.
template <class Args, class F>
void for_chunks(const Args& a, int64_t count, const F& f) {
  const Tile tile = tile_of(a.rows, a.n);
  const int64_t tiles = (a.n + tile.columns - 1) / tile.columns;
  if (tiles * count == 0 || a.rows == 0) return;
  const Chunks chunks{(a.rows + count - 1) / count, static_cast<unsigned>(tiles), tile};
  by_storage_type(a.z_type, [&](auto z) {
    by_storage_type(a.y_type,
                    [&](auto y) { f(static_cast<unsigned>(tiles * count), chunks, z, y); });
  });
}

}  // namespace

template <>
void sine_forward(Cuda& device, const SineForwardArgs& args) {
  for_each(device, args.n, Prepare{args.raw, static_cast<float*>(args.effective), args.n});
  const int64_t each = batch * tile_of(args.rows, args.n).lanes;
  for_chunks(args, (args.rows + each - 1) / each,
             [&](unsigned grid, Chunks chunks, auto z, auto y) {
               launch(forward_kernel<decltype(z), decltype(y)>, grid, threads_per_block, 0,
                      stream_of(device), args, chunks);
             });
}

template <>
void sine_backward(Cuda& device, const SineBackwardArgs& args) {
  for_chunks(args, args.chunks, [&](unsigned grid, Chunks chunks, auto z, auto y) {
    launch(backward_kernel<decltype(z), decltype(y)>, grid, threads_per_block, 0, stream_of(device),
           args, chunks);
  });
  if (args.d_raw)
    column_sums(device, args.partial, args.rows == 0 ? 0 : args.chunks, 4 * args.n, Finish{args});
}

}  // namespace sinew
