// For the .cu files of the residual blocks, after geo_blocks.h: what forward and backward share. A
// block of threads has a tile of 4 or 8 rows; a plane holds 4 rows of each feature, 16 bytes in
// f32, so that an edge is one 16-byte read and 4 multiply-adds per plane. A thread has the features
// threadIdx.x, + blockDim.x, ... Order of sums: fixed by the shape.
#pragma once
#include "geo/tile_cuda.h"
#include "ops/sine_cuda.h"

namespace sinew {
namespace {

using Quad = Piece<float>;

template <int planes>
constexpr int rows_of = Quad::rows* planes;
template <int planes>
constexpr int most_threads = planes == 1 ? 1024 : 512;

constexpr int blocks_at_once = 8;  // in a kernel's parameters, of which there are 4096 bytes

// What a block's launches share.
struct ResidualBlock {
  GeoBlockPointers p;
  TileFunction activation;
  BlockNorm norm;
  float eps;
  int n;
  int64_t rows, rows_per_keep;
  float *effective, *bias1, *row_sum;                        // (4, n), (n), (n): as on the CPU
  float *w1_forward, *w2_forward, *w1_reverse, *w2_reverse;  // by entry: w1 scale, w2; w2 alpha
};

inline ResidualBlock block_of(const GeoBlocks& a, const GeoBlockPointers& p, int64_t index) {
  ResidualBlock b{};
  b.p = p;
  b.activation = a.activation;
  b.norm = a.norm;
  b.eps = static_cast<float>(a.eps);
  b.n = static_cast<int>(a.n);
  b.rows = a.rows;
  b.rows_per_keep = a.rows_per_keep;
  b.effective = static_cast<float*>(a.ready) + index * geo_blocks_ready(a.n, a.entries);
  b.bias1 = b.effective + 4 * a.n;
  b.row_sum = b.bias1 + a.n;
  b.w1_forward = b.row_sum + a.n;
  b.w2_forward = b.w1_forward + a.entries;
  b.w1_reverse = b.w2_forward + a.entries;
  b.w2_reverse = b.w1_reverse + a.entries;
  return b;
}

__device__ __forceinline__ float of(const void* p, int64_t i) {
  return static_cast<const float*>(p)[i];
}

struct FeatureActivation {
  TileFunction kind;
  int mode;
  float amplitude, frequency, decay, phase;

  __device__ __forceinline__ FeatureActivation(const ResidualBlock& b, int i)
      : kind(b.activation), mode(b.p.sine.decay_mode) {
    const bool sine = kind == TileFunction::sine;
    amplitude = sine ? b.effective[i] : 0;
    frequency = sine ? b.effective[b.n + i] : 0;
    decay = sine ? b.effective[2 * b.n + i] : 0;
    phase = sine ? b.effective[3 * b.n + i] : 0;
  }
  // y = act(z), and c for the slope of the sine.
  __device__ __forceinline__ void values(float z, float& y, float& c) const {
    c = 0;
    if (kind == TileFunction::relu) {
      y = Relu::f(z, {});
    } else if (kind == TileFunction::tanh) {
      y = tanhf(z);
    } else {
      float sine, cosine, e = amplitude;
      sincosf(frequency * z + phase, &sine, &cosine);
      if (mode != 2) e *= expf(-decay * decay_argument(mode, z));
      y = e * sine;
      c = e * cosine;
    }
  }
  __device__ __forceinline__ float slope(float z, float y, float c) const {
    if (kind == TileFunction::relu) return Relu::d(z, {});
    if (kind == TileFunction::tanh) return 1 - y * y;
    return frequency * c - decay * decay_slope(mode, z) * y;
  }
};

// v of 4 rows each <-> planes of a tile at feature i.
template <int planes>
__device__ __forceinline__ void read(const uint4* tile, int n, int i, float (&v)[rows_of<planes>]) {
#pragma unroll
  for (int p = 0; p < planes; ++p) {
    float quad[4];
    Quad::unpack(tile[p * n + i], quad);
#pragma unroll
    for (int r = 0; r < 4; ++r) v[4 * p + r] = quad[r];
  }
}
template <int planes>
__device__ __forceinline__ void write(uint4* tile, int n, int i,
                                      const float (&v)[rows_of<planes>]) {
#pragma unroll
  for (int p = 0; p < planes; ++p) {
    const float quad[4] = {v[4 * p], v[4 * p + 1], v[4 * p + 2], v[4 * p + 3]};
    tile[p * n + i] = Quad::pack(quad);
  }
}

// Feature i of the `count` rows of x, 0 beyond them.
template <int rows, class X>
__device__ __forceinline__ void load(const X* x, int n, int count, int i, float (&v)[rows]) {
#pragma unroll
  for (int r = 0; r < rows; ++r) v[r] = r < count ? widen(__ldcg(x + int64_t{r} * n + i)) : 0.0f;
}
template <int rows, class X>
__device__ __forceinline__ void store(X* x, int n, int count, int i, const float (&v)[rows]) {
#pragma unroll
  for (int r = 0; r < rows; ++r)
    if (r < count) x[int64_t{r} * n + i] = Store<X>::from(v[r]);
}

// Rows of the tile that begins with `row`.
template <int rows>
__device__ __forceinline__ int rows_from(int64_t row, int64_t all) {
  return all - row < rows ? static_cast<int>(all - row) : rows;
}

// A factor of the branch for each row of a tile. Every thread calls it; then comes a barrier.
template <int rows>
__device__ __forceinline__ void load_keep(const ResidualBlock& b, int64_t row, float factor,
                                          float* keep) {
  const int r = static_cast<int>(threadIdx.x);
  if (r >= rows) return;
  if (row + r >= b.rows) factor = 0;
  keep[r] =
      b.p.keep ? factor * of(b.p.keep, (row + r < b.rows ? row + r : 0) / b.rows_per_keep) : factor;
}

// The edges of a target and their weights: number e at e * stride.
struct TargetEdges {
  const float* weight;
  const int32_t* source;
  int first, degree, stride;
  __device__ __forceinline__ TargetEdges(const GeoSide& side, const float* weights, int target)
      : first(side.start[target]), degree(side.degree[target]), stride(side.stride) {
    weight = weights + first;
    source = side.source + first;
  }
};

// Each of v summed over the block's threads, in every thread: pairs of lanes that each keep half of
// the values, then warps in order. Every thread calls it; it ends the block's former writes.
template <int rows>
__device__ __forceinline__ void block_sums(float (&v)[rows]) {
  __shared__ uint4 of_warp[32 * rows / 4];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int step = 16;
#pragma unroll
  for (int half = rows / 2; half > 0; half /= 2, step /= 2) {
    const bool upper = (lane & step) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float given = upper ? v[i] : v[i + half];
      v[i] = (upper ? v[i + half] : v[i]) + __shfl_xor_sync(0xffffffffu, given, step);
    }
  }
  for (; step > 0; step /= 2) v[0] += __shfl_xor_sync(0xffffffffu, v[0], step);
  __syncthreads();  // an earlier call's readers are done
  constexpr int lanes = 32 / rows;
  if (lane % lanes == 0) reinterpret_cast<float*>(of_warp)[warp * rows + lane / lanes] = v[0];
  __syncthreads();
#pragma unroll
  for (int r = 0; r < rows; ++r) v[r] = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x) / 32; ++w) {
    float one[rows];
    read<rows / 4>(of_warp + w * rows / 4, 1, 0, one);
#pragma unroll
    for (int r = 0; r < rows; ++r) v[r] += one[r];
  }
}

template <int planes>
struct PlaneCount {
  static constexpr int value = planes;
};
// Calls f(PlaneCount, launch) and gives the launch's threads and shared memory for tiles of `width`
// rows.
struct BlockLaunch {
  dim3 threads;
  int64_t shared, most_shared;
};
template <class F>
void by_width(const GeoBlocks& a, const F& f) {
  const int64_t most = a.width == 4 ? most_threads<1> : most_threads<2>;
  const int64_t whole = (a.n + 31) / 32 * 32;
  const BlockLaunch launch{dim3(static_cast<unsigned>(whole < most ? whole : most)),
                           geo_blocks_shared(a.n, a.width),
                           a.blocks[0].forward.most_shared - geo_blocks_reserved};
  if (a.width == 4)
    f(PlaneCount<1>(), launch);
  else
    f(PlaneCount<2>(), launch);
}

}  // namespace
}  // namespace sinew
