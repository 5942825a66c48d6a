// Weight and bias gradients of the sparse layer on a GPU. A thread holds the sums of 8 edges of one
// output in registers while its block passes over a slice of the rows, tile by tile; dy comes
// straight from memory, one value per thread and row. A second kernel adds the slices in order.
#include "geo/geo_linear.h"

#include "geo/tile_cuda.h"

namespace sinew {
namespace {

constexpr int edges_at_once = 8;  // of a thread

template <class X, class D>
struct Weights {
  const X* x;
  const D* dy;
  float* sums;       // of slice s, output o, edge j: at s slice + o output + j edge
  float* bias_sums;  // at s slice + o; null if not wanted
  int64_t slice, output, edge;
  int64_t rows, slice_rows;
  int n_in, n_out, k, parts;
  GeoSide side;
};

// sum[j] += dy x over the rows of a tile; dy was read before.
template <bool tiled, class X>
__device__ __forceinline__ void add_tile(const Rows<X>& x, const float (&dy)[tile_rows<X>],
                                         const int (&place)[edges_at_once], int count,
                                         const uint4* tile, int pitch,
                                         float (&sum)[edges_at_once]) {
  constexpr int piece = Piece<X>::rows;
#pragma unroll
  for (int j = 0; j < edges_at_once; ++j) {
    if (j >= count) continue;  // the same for a warp
#pragma unroll
    for (int p = 0; p < planes; ++p) {
      float v[piece];
      if constexpr (tiled)
        Piece<X>::unpack(tile[p * pitch + place[j]], v);
      else
        x.values(p, place[j], v);
#pragma unroll
      for (int r = 0; r < piece; ++r) sum[j] = fmaf(dy[p * piece + r], v[r], sum[j]);
    }
  }
}

// Block (chunk and part of the edges, slice of the rows); threads (outputs, groups of edges).
template <bool tiled, class X, class D>
__global__ void __launch_bounds__(512, tiled ? 2 : 1) weights_kernel(Weights<X, D> a) {
  uint4* tile = dynamic_shared<uint4>();
  const int part = static_cast<int>(blockIdx.x) % a.parts;
  const int chunk = static_cast<int>(blockIdx.x) / a.parts, pitch = a.side.window;
  const int o = chunk * a.side.chunk + static_cast<int>(threadIdx.x);
  const int first =
      (part * static_cast<int>(blockDim.y) + static_cast<int>(threadIdx.y)) * edges_at_once;
  const int left = o < a.n_out ? a.k - first : 0;
  const int count = left < edges_at_once ? left : edges_at_once;
  Window window{0, a.n_in};
  if (tiled) window = {a.side.chunks[4 * chunk], a.side.chunks[4 * chunk + 1]};
  int place[edges_at_once];
  float sum[edges_at_once], bias = 0;
#pragma unroll
  for (int j = 0; j < edges_at_once; ++j) {
    sum[j] = 0;
    place[j] = 0;
    if (j < count)
      place[j] = window.place(a.side.source[a.side.start[o] + (first + j) * a.side.stride], a.n_in);
  }
  const int64_t begin = a.slice_rows * blockIdx.y;
  const int64_t end = begin + a.slice_rows < a.rows ? begin + a.slice_rows : a.rows;
  for (int64_t row = begin; row < end; row += tile_rows<X>) {
    const Rows<X> x(a.x, a.n_in, row, end);
    float dy[tile_rows<X>];
#pragma unroll
    for (int r = 0; r < tile_rows<X>; ++r)
      dy[r] = count > 0 && x.has(r) ? widen(a.dy[(row + r) * a.n_out + o]) : 0.0f;
    if constexpr (tiled) {
      __syncthreads();  // the former tile was read
      x.to_tile(tile, pitch, window.first, window.count,
                static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x),
                static_cast<int>(blockDim.x * blockDim.y));
      __syncthreads();
    }
    add_tile<tiled>(x, dy, place, count, tile, pitch, sum);
#pragma unroll
    for (int r = 0; r < tile_rows<X>; ++r) bias += dy[r];
  }
#pragma unroll
  for (int j = 0; j < edges_at_once; ++j)
    if (j < count) a.sums[blockIdx.y * a.slice + o * a.output + (first + j) * a.edge] = sum[j];
  if (a.bias_sums && first == 0 && count > 0) a.bias_sums[blockIdx.y * a.slice + o] = bias;
}

struct StoreWeights {  // dw[o, j] from edge by edge, then db
  float *dw, *db;
  int64_t n_out, k;
  __device__ void operator()(int64_t i, float sum) const {
    const int64_t j = i / n_out, o = i % n_out;
    (j == k ? db[o] : dw[o * k + j]) = sum;
  }
};

template <bool tiled, class X, class D>
void weights_with(const Cuda& device, const Weights<X, D>& a, const GeoSlices& slices) {
  const int64_t shared = tiled ? a.side.window * geo_bytes_per_input : 0;
  const int64_t chunks = (a.n_out + a.side.chunk - 1) / a.side.chunk;
  const auto kernel = weights_kernel<tiled, X, D>;
  allow_shared(kernel, shared, a.side.most_shared);
  launch(kernel,
         dim3(static_cast<unsigned>(chunks * slices.parts), static_cast<unsigned>(slices.count)),
         dim3(static_cast<unsigned>(a.side.chunk), static_cast<unsigned>(slices.groups)),
         static_cast<size_t>(shared), stream_of(device), a);
}

template <class X, class D>
void weights_types(const Cuda& device, const GeoWeightArgs& args) {
  const GeoSlices slices = geo_slices(args.rows, args.n_out, args.k);
  const int64_t n_out = args.n_out, k = args.k;
  const int64_t slice = n_out * (args.db ? k + 1 : k);
  float *dw = static_cast<float*>(args.dw), *db = static_cast<float*>(args.db);
  Weights<X, D> a{static_cast<const X*>(args.x),
                  static_cast<const D*>(args.dy),
                  dw,
                  db,
                  slice,
                  k,
                  1,
                  args.rows,
                  slices.rows,
                  static_cast<int>(args.n_in),
                  static_cast<int>(n_out),
                  static_cast<int>(k),
                  static_cast<int>(slices.parts),
                  args.side};
  if (slices.count > 1) {
    a.sums = static_cast<float*>(args.partial);
    a.bias_sums = db ? a.sums + n_out * k : nullptr;
    a.output = 1;
    a.edge = n_out;
  }
  if (a.side.window * geo_bytes_per_input <= a.side.most_shared)
    weights_with<true>(device, a, slices);
  else
    weights_with<false>(device, a, slices);
  if (slices.count > 1)
    add_slices(device, a.sums, slices.count, slice, StoreWeights{dw, db, n_out, k});
}

}  // namespace

template <>
void geo_weight_gradient(Cuda& device, const GeoWeightArgs& args) {
  by_storage_type(args.x_dtype, [&](auto x) {
    by_storage_type(args.dy_dtype,
                    [&](auto dy) { weights_types<decltype(x), decltype(dy)>(device, args); });
  });
}

}  // namespace sinew
