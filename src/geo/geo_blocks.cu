// Residual blocks on a GPU, forward: one launch per block. A block of threads loads a tile of rows,
// sums up its norm's statistics, and has x (less its mean) and y = act(fc1) of all features in
// shared memory; x is read once and the output written once. As on the CPU, the norm's scale is in
// the weights and its 1/sqrt = r on the sums:
//     z = r sum_j (w1 scale)[o, j] (x - mean) + b1',   b1' = b1 + sum_j w1[o, j] shift
// A kernel before the first block makes the weights, in the order in which the threads read them,
// and the sine's parameters.
#include "geo/geo_blocks.h"

#include "geo/blocks_cuda.h"

namespace sinew {
namespace {

struct Prepare {
  ResidualBlock block[blocks_at_once];
  bool reverse;
};
static_assert(sizeof(Prepare) <= 4096);

__device__ __forceinline__ void prepare_feature(const ResidualBlock& b, int i, bool reverse) {
  if (b.activation == TileFunction::sine) make_effective(b.p.sine, i, b.n, b.effective);
  const GeoSide &to = b.p.forward, &from = b.p.reverse;
  float bias = b.p.b1 ? of(b.p.b1, i) : 0.0f, sum = 0;
  for (int e = 0; e < to.degree[i]; ++e) {
    const int at = to.start[i] + e * to.stride, edge = to.edge[at], source = to.source[at];
    const float w = of(b.p.w1, edge), scaled = b.p.scale ? w * of(b.p.scale, source) : w;
    if (b.p.shift) bias += w * of(b.p.shift, source);
    sum += scaled;
    b.w1_forward[at] = scaled;
    b.w2_forward[at] = of(b.p.w2, edge);
  }
  b.bias1[i] = bias;
  b.row_sum[i] = sum;
  if (!reverse) return;
  const float alpha = of(b.p.alpha, 0), scale = b.p.scale ? of(b.p.scale, i) : 1.0f;
  for (int e = 0; e < from.degree[i]; ++e) {
    const int at = from.start[i] + e * from.stride, edge = from.edge[at];
    b.w1_reverse[at] = of(b.p.w1, edge) * scale;
    b.w2_reverse[at] = alpha * of(b.p.w2, edge);
  }
}
// Block (features, residual block).
__global__ void __launch_bounds__(threads_per_block) prepare_kernel(Prepare a) {
  const ResidualBlock& b = a.block[blockIdx.y];
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < b.n) prepare_feature(b, i, a.reverse);
}

template <class X>
struct Forward {
  ResidualBlock b;
  const X* x;    // (rows, n)
  X* y;          // may be x
  uint4* z;      // (tiles, planes, n) or null
  float* stats;  // (tiles, 2, rows of a tile)
};

// sum += weight tile[source] over the edges.
template <int planes>
__device__ __forceinline__ void add_edges(const TargetEdges& edges, const uint4* tile, int n,
                                          float (&sum)[rows_of<planes>]) {
#pragma unroll 4
  for (int e = 0; e < edges.degree; ++e) {
    const float weight = edges.weight[e * edges.stride];
    float v[rows_of<planes>];
    read<planes>(tile, n, edges.source[e * edges.stride], v);
#pragma unroll
    for (int r = 0; r < rows_of<planes>; ++r) sum[r] = fmaf(weight, v[r], sum[r]);
  }
}

// x to the tile, less its mean for layer_norm; mean and r of its rows. Beyond the last row r = 0.
template <int planes, class X>
__device__ __forceinline__ void load_x(const Forward<X>& a, int64_t row, uint4* tile,
                                       float (&mean)[rows_of<planes>],
                                       float (&r)[rows_of<planes>]) {
  constexpr int rows = rows_of<planes>;
  const int n = a.b.n, count = rows_from<rows>(row, a.b.rows);
  const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
#pragma unroll
  for (int k = 0; k < rows; ++k) mean[k] = r[k] = 0;
  for (int i = first; i < n; i += step) {
    float v[rows];
    load<rows>(a.x + row * n, n, count, i, v);
    write<planes>(tile, n, i, v);
#pragma unroll
    for (int k = 0; k < rows; ++k) mean[k] += v[k];
  }
  if (a.b.norm == BlockNorm::layer) block_sums<rows>(mean);
#pragma unroll
  for (int k = 0; k < rows; ++k)
    mean[k] = a.b.norm == BlockNorm::layer ? mean[k] / static_cast<float>(n) : 0.0f;
  if (a.b.norm != BlockNorm::none) {
    for (int i = first; i < n; i += step) {
      float v[rows];
      read<planes>(tile, n, i, v);
#pragma unroll
      for (int k = 0; k < rows; ++k) {
        v[k] -= mean[k];
        r[k] = fmaf(v[k], v[k], r[k]);
      }
      if (a.b.norm == BlockNorm::layer) write<planes>(tile, n, i, v);
    }
    block_sums<rows>(r);
  }
#pragma unroll
  for (int k = 0; k < rows; ++k) {
    const bool norm = a.b.norm != BlockNorm::none;
    const float root = norm ? sqrtf(r[k] / static_cast<float>(n) + a.b.eps) : 1.0f;
    r[k] = k < count ? 1 / root : 0.0f;
  }
}

template <int planes, class X>
__global__ void __launch_bounds__(most_threads<planes>) block_kernel(Forward<X> a) {
  constexpr int rows = rows_of<planes>;
  __shared__ float factor[rows];
  const int n = a.b.n;
  uint4* x_tile = dynamic_shared<uint4>();
  uint4* y_tile = x_tile + planes * n;
  const int64_t tile = blockIdx.x, row = tile * rows;
  load_keep<rows>(a.b, row, of(a.b.p.alpha, 0), factor);
  float mean[rows], root[rows];
  load_x<planes>(a, row, x_tile, mean, root);
  if (a.z && threadIdx.x == 0)
    for (int r = 0; r < rows; ++r) {
      a.stats[tile * 2 * rows + r] = mean[r];
      a.stats[tile * 2 * rows + rows + r] = root[r];
    }
  __syncthreads();
  for (int o = static_cast<int>(threadIdx.x); o < n; o += static_cast<int>(blockDim.x)) {
    const FeatureActivation act(a.b, o);
    float v[rows] = {}, y[rows], c;
    add_edges<planes>(TargetEdges(a.b.p.forward, a.b.w1_forward, o), x_tile, n, v);
    const float bias = a.b.bias1[o];
#pragma unroll
    for (int r = 0; r < rows; ++r) v[r] = fmaf(v[r], root[r], bias);
    if (a.z) write<planes>(a.z + tile * planes * n, n, o, v);
#pragma unroll
    for (int r = 0; r < rows; ++r) act.values(v[r], y[r], c);
    write<planes>(y_tile, n, o, y);
  }
  __syncthreads();
  for (int o = static_cast<int>(threadIdx.x); o < n; o += static_cast<int>(blockDim.x)) {
    float sum[rows], x[rows];
    const float bias = a.b.p.b2 ? of(a.b.p.b2, o) : 0.0f;
#pragma unroll
    for (int r = 0; r < rows; ++r) sum[r] = bias;
    add_edges<planes>(TargetEdges(a.b.p.forward, a.b.w2_forward, o), y_tile, n, sum);
    read<planes>(x_tile, n, o, x);
#pragma unroll
    for (int r = 0; r < rows; ++r) x[r] = fmaf(factor[r], sum[r], x[r] + mean[r]);
    store<rows>(a.y + row * n, n, rows_from<rows>(row, a.b.rows), o, x);
  }
}

void prepare(const Cuda& device, const GeoBlocks& a) {
  for (int64_t first = 0; first < a.count; first += blocks_at_once) {
    Prepare p{};
    const int64_t left = a.count - first, count = left < blocks_at_once ? left : blocks_at_once;
    for (int64_t i = 0; i < count; ++i) p.block[i] = block_of(a, a.blocks[first + i], first + i);
    p.reverse = a.saved != nullptr;
    const auto x = static_cast<unsigned>((a.n + threads_per_block - 1) / threads_per_block);
    launch(prepare_kernel, dim3(x, static_cast<unsigned>(count)), threads_per_block, 0,
           stream_of(device), p);
  }
}

template <class X>
void forward(const Cuda& device, const GeoBlocksForward& args) {
  const GeoBlocks& a = args.stack;
  const int64_t plane = a.rows * a.n;
  X* const inputs = static_cast<X*>(a.inputs);
  const X* x = static_cast<const X*>(args.x);
  for (int64_t i = 0; i < a.count; ++i) {
    X* const y = a.saved && i + 1 < a.count ? inputs + i * plane : static_cast<X*>(args.y);
    Forward<X> block{block_of(a, a.blocks[i], i), x, y, nullptr, nullptr};
    if (a.saved) {
      block.z = static_cast<uint4*>(a.saved) + i * a.tiles * a.width / 4 * a.n;
      block.stats = static_cast<float*>(a.stats) + i * a.tiles * 2 * a.width;
    }
    by_width(a, [&](auto count, const BlockLaunch& how) {
      const auto kernel = block_kernel<decltype(count)::value, X>;
      allow_shared(kernel, how.shared, how.most_shared);
      launch(kernel, static_cast<unsigned>(a.tiles), how.threads, static_cast<size_t>(how.shared),
             stream_of(device), block);
    });
    x = y;
  }
}

}  // namespace

template <>
void geo_blocks(Cuda& device, const GeoBlocksForward& args) {
  prepare(device, args.stack);
  if (args.stack.tiles == 0) return;
  by_storage_type(args.stack.dtype, [&](auto x) { forward<decltype(x)>(device, args); });
}

}  // namespace sinew
