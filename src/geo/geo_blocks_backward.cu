// Residual blocks on a GPU, backward: per block one launch for the rows and one that adds up the
// slices, and in the end one for the norms' parameters and alphas of all blocks. Formulas:
// geo_blocks_backward.cpu.cpp. A block of threads takes the tiles of its slice: dL/dnext keep and
// dz r of all features lie in shared memory, so that one read of a neighbour's rows serves the
// input gradient and the edge's weight gradient. Each sum over a slice has one thread that adds to
// it, tile after tile; y and its slope come from z again.
#include "geo/geo_blocks.h"

#include "geo/blocks_cuda.h"

namespace sinew {
namespace {

template <class X>
struct Backward {
  ResidualBlock b;
  const X* x;   // the block's input
  const X* dy;  // dL/dnext
  X* dx;        // may be dy
  const uint4* z;
  const float* stats;
  float* sums;  // (slices, geo_blocks_sums): dw1, dw2 by entry, then geo_hidden_sums by feature
  int64_t slice, tiles;
};

// A thread's own sums: set at the first tile of a slice, added to at the others.
struct SliceSums {
  float* sums;
  bool first;
  __device__ __forceinline__ void add(int64_t i, float v) const {
    sums[i] = first ? v : sums[i] + v;
  }
};

// sum += weight tile[source] over the edges, and to the edge's gradient the sum of own
// tile[source].
template <int planes>
__device__ __forceinline__ void add_edges_and_products(const TargetEdges& edges, const uint4* tile,
                                                       int n, const float (&own)[rows_of<planes>],
                                                       float (&sum)[rows_of<planes>],
                                                       const SliceSums& slice) {
#pragma unroll 2
  for (int e = 0; e < edges.degree; ++e) {
    const int at = e * edges.stride;
    const float weight = edges.weight[at];
    float v[rows_of<planes>], product = 0;
    read<planes>(tile, n, edges.source[at], v);
#pragma unroll
    for (int r = 0; r < rows_of<planes>; ++r) {
      sum[r] = fmaf(weight, v[r], sum[r]);
      product = fmaf(own[r], v[r], product);
    }
    slice.add(edges.first + at, product);
  }
}

// What a hidden feature's rows add to its bias, the bias above it and its activation's parameters.
struct HiddenSums {
  float b1 = 0, amplitude = 0, frequency = 0, decay = 0, phase = 0;
  __device__ __forceinline__ void put(const SliceSums& slice, int n, int i, bool sine) const {
    slice.add(i, b1);
    if (!sine) return;
    slice.add(2 * n + i, amplitude);
    slice.add(3 * n + i, frequency);
    slice.add(4 * n + i, decay);
    slice.add(5 * n + i, phase);
  }
};

// Of one tile.
template <int planes>
struct RowValues {
  static constexpr int rows = rows_of<planes>;
  float m[rows], u[rows];  // sums over the features, once they are summed
};

// q = dL/dy, dz r of a hidden feature, to the plane of dz.
template <int planes, class X>
__device__ __forceinline__ void to_hidden(const Backward<X>& a, int64_t tile, int i,
                                          const uint4* g_tile, uint4* dz_tile, const float* root,
                                          const SliceSums& slice, RowValues<planes>& of_rows) {
  constexpr int rows = rows_of<planes>;
  const int n = a.b.n, entries = a.b.p.reverse.all_entries;
  const FeatureActivation act(a.b, i);
  float z[rows], y[rows], c[rows], q[rows] = {};
  read<planes>(a.z + tile * planes * n, n, i, z);
#pragma unroll
  for (int r = 0; r < rows; ++r) act.values(z[r], y[r], c[r]);
  add_edges_and_products<planes>(TargetEdges(a.b.p.reverse, a.b.w2_reverse, i), g_tile, n, y, q,
                                 {slice.sums + entries, slice.first});
  const float bias = a.b.bias1[i], row_sum = a.b.row_sum[i];
  HiddenSums d;
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    const float qy = q[r] * y[r], qc = q[r] * c[r], dz = q[r] * act.slope(z[r], y[r], c[r]);
    d.b1 += dz;
    d.amplitude += qy;
    d.frequency = fmaf(qc, z[r], d.frequency);
    d.decay -= qy * decay_argument(act.mode, z[r]);
    d.phase += qc;
    of_rows.m[r] = fmaf(dz, z[r] - bias, of_rows.m[r]);
    q[r] = dz * root[r];
    of_rows.u[r] = fmaf(q[r], row_sum, of_rows.u[r]);
  }
  write<planes>(dz_tile, n, i, q);
  d.put({slice.sums + 2 * entries, slice.first}, n, i, act.kind == TileFunction::sine);
}

// dx of an input; m and u are over n, m times r^2.
template <int planes, class X>
__device__ __forceinline__ void to_input(const Backward<X>& a, int64_t row, int i,
                                         const uint4* dz_tile, const float* mean,
                                         const SliceSums& slice, const RowValues<planes>& of_rows) {
  constexpr int rows = rows_of<planes>;
  const int n = a.b.n, count = rows_from<rows>(row, a.b.rows);
  float x[rows], u[rows], g[rows];
  load<rows>(a.x + row * n, n, count, i, x);
  load<rows>(a.dy + row * n, n, count, i, g);
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    x[r] -= mean[r];
    u[r] = -of_rows.u[r];
  }
  add_edges_and_products<planes>(TargetEdges(a.b.p.reverse, a.b.w1_reverse, i), dz_tile, n, x, u,
                                 slice);
#pragma unroll
  for (int r = 0; r < rows; ++r) g[r] += u[r] - x[r] * of_rows.m[r];
  store<rows>(a.dx + row * n, n, count, i, g);
}

template <int planes, class X>
__global__ void __launch_bounds__(most_threads<planes>) rows_kernel(Backward<X> a) {
  constexpr int rows = rows_of<planes>;
  __shared__ float keep[rows], mean[rows], root[rows];
  const int n = a.b.n, me = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  const int entries = a.b.p.reverse.all_entries;
  uint4* g_tile = dynamic_shared<uint4>();
  uint4* dz_tile = g_tile + planes * n;
  float* const sums = a.sums + blockIdx.x * a.slice;
  for (int64_t tile = blockIdx.x; tile < a.tiles; tile += gridDim.x) {
    const SliceSums slice{sums, tile == blockIdx.x};
    const int64_t row = tile * rows;
    __syncthreads();  // the former tile was read
    load_keep<rows>(a.b, row, 1, keep);
    if (me < rows) {
      mean[me] = a.stats[tile * 2 * rows + me];
      root[me] = a.stats[tile * 2 * rows + rows + me];
    }
    __syncthreads();
    for (int i = me; i < n; i += step) {
      float g[rows], sum = 0;
      load<rows>(a.dy + row * n, n, rows_from<rows>(row, a.b.rows), i, g);
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        g[r] *= keep[r];
        sum += g[r];
      }
      write<planes>(g_tile, n, i, g);
      slice.add(2 * entries + n + i, sum);
    }
    __syncthreads();
    RowValues<planes> of_rows{};
    for (int i = me; i < n; i += step)
      to_hidden<planes>(a, tile, i, g_tile, dz_tile, root, slice, of_rows);
    const float whole = static_cast<float>(n);
    if (a.b.norm != BlockNorm::none) block_sums<rows>(of_rows.m);
    if (a.b.norm == BlockNorm::layer) block_sums<rows>(of_rows.u);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      of_rows.m[r] = a.b.norm == BlockNorm::none ? 0.0f : root[r] * root[r] * of_rows.m[r] / whole;
      of_rows.u[r] = a.b.norm == BlockNorm::layer ? of_rows.u[r] / whole : 0.0f;
    }
    __syncthreads();
    for (int i = me; i < n; i += step) to_input<planes>(a, row, i, dz_tile, mean, slice, of_rows);
  }
}

// The sums over the slices to the gradients: done but for the norm and alpha.
struct StoreGradients {
  ResidualBlock b;
  float* d;
  float* products;  // (n k + n): w2 dw2 / alpha, then b2 db2 / alpha
  GeoBlockGradients where;
  __device__ void operator()(int64_t i, float sum) const {
    const int64_t entries = b.p.reverse.all_entries;
    if (i < 2 * entries) {
      const int edge = b.p.reverse.edge[i % entries];
      if (edge < 0) return;  // filler
      if (i < entries) {
        d[where.w1 + edge] = sum;
      } else {
        d[where.w2 + edge] = of(b.p.alpha, 0) * sum;
        products[edge] = of(b.p.w2, edge) * sum;
      }
      return;
    }
    const int kind = static_cast<int>((i - 2 * entries) / b.n);
    const int64_t f = (i - 2 * entries) % b.n;
    if (kind == 0) d[where.b1 + f] = sum;
    if (kind == 1) {
      d[where.b2 + f] = of(b.p.alpha, 0) * sum;
      products[b.n * b.p.k + f] = b.p.b2 ? of(b.p.b2, f) * sum : 0.0f;
    }
    if (kind > 1 && b.activation == TileFunction::sine)
      d[where.sine + (kind - 2) * b.n + f] = raw_gradient(b.p.sine, kind - 2, f, b.effective, sum);
  }
};

struct Finish {
  ResidualBlock block[blocks_at_once];
  float* d;         // of the first of these blocks
  float* products;  // (blocks, n k + n)
  GeoBlockGradients where;
};
static_assert(sizeof(Finish) <= 4096);

// From the gradients of the scaled weights that read input i to those of weights, scale and shift.
__device__ __forceinline__ void through_norm(const ResidualBlock& b, const GeoBlockGradients& where,
                                             int i, float* d) {
  const GeoSide& side = b.p.reverse;
  const float scale = of(b.p.scale, i), shift = b.p.shift ? of(b.p.shift, i) : 0.0f;
  float d_scale = 0, d_shift = 0;
  for (int e = 0; e < side.degree[i]; ++e) {
    const int at = side.start[i] + e * side.stride, edge = side.edge[at];
    const float w = of(b.p.w1, edge), dw = d[where.w1 + edge], db = d[where.b1 + side.source[at]];
    d_scale = fmaf(w, dw, d_scale);
    d_shift = fmaf(w, db, d_shift);
    d[where.w1 + edge] = dw * scale + shift * db;
  }
  d[where.scale + i] = d_scale;
  if (b.p.shift) d[where.shift + i] = d_shift;
}
// Block (features, residual block); the last one along the features sums up dalpha.
__global__ void __launch_bounds__(threads_per_block) finish_kernel(Finish a) {
  const ResidualBlock& b = a.block[blockIdx.y];
  float* const d = a.d + blockIdx.y * a.where.size;
  if (blockIdx.x + 1 < gridDim.x) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (b.norm != BlockNorm::none && i < b.n) through_norm(b, a.where, i, d);
    return;
  }
  const int64_t count = b.n * b.p.k + b.n;
  const float* const products = a.products + blockIdx.y * count;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += threads_per_block) sum += products[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) d[a.where.alpha] = sum;
}

template <class X>
void through_rows(const Cuda& device, const GeoBlocksBackward& args, int64_t i, const X* dy) {
  const GeoBlocks& a = args.stack;
  const X* const x = i == 0 ? static_cast<const X*>(args.x)
                            : static_cast<const X*>(a.inputs) + (i - 1) * a.rows * a.n;
  const Backward<X> block{block_of(a, a.blocks[i], i),
                          x,
                          dy,
                          static_cast<X*>(args.dx),
                          static_cast<const uint4*>(a.saved) + i * a.tiles * a.width / 4 * a.n,
                          static_cast<const float*>(a.stats) + i * a.tiles * 2 * a.width,
                          static_cast<float*>(args.partial),
                          geo_blocks_sums(a.n, a.blocks[i].reverse.all_entries),
                          a.tiles};
  by_width(a, [&](auto count, const BlockLaunch& how) {
    const auto kernel = rows_kernel<decltype(count)::value, X>;
    allow_shared(kernel, how.shared, how.most_shared);
    launch(kernel, static_cast<unsigned>(args.parts), how.threads, static_cast<size_t>(how.shared),
           stream_of(device), block);
  });
}

void finish(const Cuda& device, const GeoBlocksBackward& args, float* products) {
  const GeoBlocks& a = args.stack;
  const GeoBlockGradients where = geo_block_gradients(a.n, a.k);
  for (int64_t first = 0; first < a.count; first += blocks_at_once) {
    const int64_t left = a.count - first, count = left < blocks_at_once ? left : blocks_at_once;
    Finish f{{},
             static_cast<float*>(args.d) + first * where.size,
             products + first * (a.n * a.k + a.n),
             where};
    for (int64_t i = 0; i < count; ++i) f.block[i] = block_of(a, a.blocks[first + i], first + i);
    const auto x = static_cast<unsigned>((a.n + threads_per_block - 1) / threads_per_block + 1);
    launch(finish_kernel, dim3(x, static_cast<unsigned>(count)), threads_per_block, 0,
           stream_of(device), f);
  }
}

}  // namespace

template <>
void geo_blocks_backward(Cuda& device, const GeoBlocksBackward& args) {
  const GeoBlocks& a = args.stack;
  const GeoBlockGradients where = geo_block_gradients(a.n, a.k);
  float* const sums = static_cast<float*>(args.partial);
  float* const products = sums + args.parts * geo_blocks_sums(a.n, a.entries);
  for (int64_t i = a.count; i-- > 0;) {
    if (args.parts > 0)
      by_storage_type(a.dtype, [&](auto x) {
        const void* dy = i + 1 == a.count ? args.dy : args.dx;
        through_rows(device, args, i, static_cast<const decltype(x)*>(dy));
      });
    const ResidualBlock b = block_of(a, a.blocks[i], i);
    add_slices(device, sums, args.parts, geo_blocks_sums(a.n, b.p.reverse.all_entries),
               StoreGradients{b, static_cast<float*>(args.d) + i * where.size,
                              products + i * (a.n * a.k + a.n), where});
  }
  finish(device, args, products);
}

}  // namespace sinew
