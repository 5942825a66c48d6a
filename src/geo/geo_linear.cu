// Sparse layer on the GPU. A tile holds 2 x 16 bytes of each input of a window: 8 rows in f32, 16
// in bf16, so that one edge is one weight, two 16-byte reads and 8 or 16 multiply-adds for a
// thread. Lanes run along the targets: neighbours read neighbours (no bank conflicts) and write y
// side by side. The two halves of a tile are planes: 16-byte reads of neighbours then touch every
// bank once. What is read how often, and which layout is taken when: docs/performance.md.
#include "geo/geo_linear.h"

#include "cuda/kernel.h"

namespace sinew {
namespace {

constexpr int planes = 2;  // of a tile

// The values of one input in `rows` rows, as 16 bytes.
template <class X>
struct Piece;
template <>
struct Piece<float> {
  static constexpr int rows = 4;
  static __device__ __forceinline__ uint4 pack(const float (&v)[4]) {
    return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]),
                      __float_as_uint(v[3]));
  }
  static __device__ __forceinline__ void unpack(uint4 p, float (&v)[4]) {
    v[0] = __uint_as_float(p.x);
    v[1] = __uint_as_float(p.y);
    v[2] = __uint_as_float(p.z);
    v[3] = __uint_as_float(p.w);
  }
};
template <>
struct Piece<bf16> {  // even rows in the lower halves
  static constexpr int rows = 8;
  static __device__ __forceinline__ unsigned pair(bf16 low, bf16 high) {
    return __bfloat16_as_ushort(low) | unsigned{__bfloat16_as_ushort(high)} << 16;
  }
  static __device__ __forceinline__ uint4 pack(const bf16 (&v)[8]) {
    return make_uint4(pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7]));
  }
  static __device__ __forceinline__ void unpack(uint4 p, float (&v)[8]) {
    const unsigned words[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      v[2 * i] = __uint_as_float(words[i] << 16);
      v[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
  }
};
template <class X>
constexpr int tile_rows = planes* Piece<X>::rows;

template <class X>
struct Rows {  // of x, at most a tile's
  const X* x;
  int n, count;

  __device__ __forceinline__ Rows(const X* all, int n, int64_t row, int64_t end)
      : x(all + row * n),
        n(n),
        count(static_cast<int>(end - row < tile_rows<X> ? end - row : tile_rows<X>)) {}
  __device__ __forceinline__ bool has(int r) const { return r < count; }
  __device__ __forceinline__ const X* at(int r, int i) const { return x + int64_t{r} * n + i; }

  // tile[plane * pitch + i] = inputs first + i, cyclic; by `threads` threads, this is number
  // `from`.
  __device__ __forceinline__ void to_tile(uint4* tile, int pitch, int first, int count, int from,
                                          int threads) const {
    for (int i = from; i < count; i += threads) {
      const int wrapped = first + i - n, input = wrapped < 0 ? first + i : wrapped;
#pragma unroll(sizeof(X) == 4 ? planes : 1)  // 8 loads under way
      for (int p = 0; p < planes; ++p) {
        X v[Piece<X>::rows];
#pragma unroll
        for (int r = 0; r < Piece<X>::rows; ++r) {
          const int of_tile = p * Piece<X>::rows + r;
          v[r] = has(of_tile) ? __ldcg(at(of_tile, input)) : Store<X>::from(0.0f);
        }
        tile[p * pitch + i] = Piece<X>::pack(v);
      }
    }
  }
  // Without a tile: input i in the rows of a plane.
  __device__ __forceinline__ void values(int plane, int i, float (&v)[Piece<X>::rows]) const {
#pragma unroll
    for (int r = 0; r < Piece<X>::rows; ++r) {
      const int of_tile = plane * Piece<X>::rows + r;
      v[r] = has(of_tile) ? widen(*at(of_tile, i)) : 0.0f;
    }
  }
};

struct Window {
  int first, count;
  __device__ __forceinline__ int place(int source, int n) const {
    return source < first ? source - first + n : source - first;
  }
};

// --- y and dx -----------------------------------------------------------------------------------
template <class X, class Y>
struct Gather {
  const X* x;
  const float* w;
  const float* bias;
  Y* y;
  int64_t rows;
  int n_x, n_y;
  GeoSide side;
  int chunk, pitch;  // of this launch
};

// The block's edges {weight, place in the tile} to shared memory.
template <class X, class Y>
__device__ __forceinline__ void stage(const Gather<X, Y>& a, const int32_t* chunk, int2* edges) {
  const Window window{chunk[0], chunk[1]};
  const int first = chunk[2], count = chunk[3];
  const int threads = static_cast<int>(blockDim.x * blockDim.y);
  for (int i = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); i < count; i += threads) {
    const int edge = a.side.edge[first + i];
    const float weight = edge < 0 ? 0.0f : a.w[edge];
    edges[i] = make_int2(__float_as_int(weight), window.place(a.side.source[first + i], a.n_x));
  }
}

// y of one target in a tile's rows.
template <GeoLayout layout, class X, class Y>
__device__ __forceinline__ void gather_target(const Gather<X, Y>& a, const Rows<X>& x, int64_t row,
                                              int target, const int2* edges, const uint4* tile) {
  constexpr int piece = Piece<X>::rows;
  float sum[planes][piece];
  const float start = a.bias ? a.bias[target] : 0.0f;
  for (int p = 0; p < planes; ++p)
    for (int r = 0; r < piece; ++r) sum[p][r] = start;
  const int degree = a.side.degree[target], first = a.side.start[target], stride = a.side.stride;
#pragma unroll(layout == GeoLayout::windows ? 4 : 1)
  for (int i = 0; i < degree; ++i) {
    float weight;
    int place;
    if constexpr (layout == GeoLayout::windows) {
      const int2 edge = edges[i * 32];
      weight = __int_as_float(edge.x);
      place = edge.y;
    } else {
      weight = a.w[a.side.edge[first + i * stride]];
      place = a.side.source[first + i * stride];
    }
#pragma unroll
    for (int p = 0; p < planes; ++p) {
      float v[piece];
      if constexpr (layout == GeoLayout::direct)
        x.values(p, place, v);
      else
        Piece<X>::unpack(tile[p * a.pitch + place], v);
#pragma unroll
      for (int r = 0; r < piece; ++r) sum[p][r] = fmaf(weight, v[r], sum[p][r]);
    }
  }
#pragma unroll
  for (int r = 0; r < tile_rows<X>; ++r)
    if (x.has(r)) a.y[(row + r) * a.n_y + target] = Store<Y>::from(sum[r / piece][r % piece]);
}

// Block (chunk, part of the rows); threads (targets, tiles).
template <GeoLayout layout, class X, class Y>
__global__ void __launch_bounds__(geo_threads) gather_kernel(Gather<X, Y> a) {
  int2* edges = dynamic_shared<int2>();
  uint4* tile = reinterpret_cast<uint4*>(edges);
  Window window{0, a.n_x};
  const int32_t* chunk = a.side.chunks + 4 * int64_t{blockIdx.x};
  if constexpr (layout == GeoLayout::windows) {
    window = {chunk[0], chunk[1]};
    tile += a.side.entries / 2;
    stage(a, chunk, edges);
  }
  tile += int64_t{threadIdx.y} * planes * a.pitch;
  const int first = static_cast<int>(blockIdx.x) * a.chunk;
  const int end = a.n_y - first < a.chunk ? a.n_y : first + a.chunk;
  const int64_t tiles = (a.rows + tile_rows<X> - 1) / tile_rows<X>;
  for (int64_t t = int64_t{blockIdx.y} * blockDim.y; t < tiles;
       t += int64_t{gridDim.y} * blockDim.y) {
    const int64_t row = (t + threadIdx.y) * tile_rows<X>;
    const Rows<X> x(a.x, a.n_x, row, a.rows);
    if constexpr (layout != GeoLayout::direct) {
      __syncthreads();  // the former tile was read
      x.to_tile(tile, a.pitch, window.first, window.count, static_cast<int>(threadIdx.x),
                static_cast<int>(blockDim.x));
      __syncthreads();
    }
    for (int c = first + static_cast<int>(threadIdx.x); c < end;
         c += static_cast<int>(blockDim.x)) {
      const int2* own =
          layout == GeoLayout::windows ? edges + (a.side.start[c] - chunk[2]) : nullptr;
      gather_target<layout>(a, x, row, c, own, tile);
    }
  }
}

template <class... P>
void allow_shared(void (*kernel)(P...), size_t bytes) {  // 48 KiB need no leave
  if (bytes > 48 * 1024)
    cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(geo_most_shared)),
               "geo_linear: shared memory");
}

// Blocks along the rows: 8 tiles each, that staging pays, but at least 1056 blocks in all, two
// waves of 4 blocks on 132 multiprocessors.
unsigned row_blocks(int64_t tiles, int64_t chunks) {
  const int64_t by_tiles = (tiles + 7) / 8, by_chunks = (528 + chunks - 1) / chunks;
  const int64_t wanted = by_tiles > by_chunks ? by_tiles : by_chunks;
  const int64_t blocks = wanted < tiles ? wanted : tiles;
  return static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
}

template <GeoLayout layout, class X, class Y>
void gather_with(const Cuda& device, Gather<X, Y> a) {
  int64_t shared = 0;
  if (layout == GeoLayout::windows) {
    a.chunk = a.side.chunk;
    a.pitch = a.side.window;
    shared = a.side.entries * geo_bytes_per_edge;
  } else {
    a.chunk = layout == GeoLayout::rows ? static_cast<int>(geo_rows_chunk) : geo_threads;
    a.pitch = a.n_x;
  }
  const int64_t x = a.chunk < geo_threads ? a.chunk : geo_threads;
  const int64_t y = layout == GeoLayout::windows ? geo_tiles_at_once(a.chunk) : 1;
  if (layout != GeoLayout::direct) shared += y * a.pitch * geo_bytes_per_input;
  const int64_t chunks = (a.n_y + a.chunk - 1) / a.chunk;
  const int64_t tiles = (a.rows + tile_rows<X> * y - 1) / (tile_rows<X> * y);
  const auto kernel = gather_kernel<layout, X, Y>;
  allow_shared(kernel, static_cast<size_t>(shared));
  launch(kernel, dim3(static_cast<unsigned>(chunks), row_blocks(tiles, chunks)),
         dim3(static_cast<unsigned>(x), static_cast<unsigned>(y)), static_cast<size_t>(shared),
         stream_of(device), a);
}

template <class X, class Y>
void gather_types(const Cuda& device, const GeoGatherArgs& args) {
  const Gather<X, Y> a{static_cast<const X*>(args.x),
                       static_cast<const float*>(args.w),
                       static_cast<const float*>(args.bias),
                       static_cast<Y*>(args.y),
                       args.rows,
                       static_cast<int>(args.n_x),
                       static_cast<int>(args.n_y),
                       args.side,
                       0,
                       0};
  switch (args.side.layout) {
    case GeoLayout::windows: return gather_with<GeoLayout::windows>(device, a);
    case GeoLayout::rows: return gather_with<GeoLayout::rows>(device, a);
    case GeoLayout::direct: return gather_with<GeoLayout::direct>(device, a);
  }
}

// --- dw -----------------------------------------------------------------------------------------
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
    if (j >= count) break;
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

constexpr int sum_warps = 8;

// dw[o, j] = sum over the slices of sums[slice][j][o], and db[o] of sums[slice][k][o]: each warp
// adds every eighth slice, then these eight in order. Lanes run along the outputs.
struct AddSlices {
  const float* sums;
  float *dw, *db;
  int64_t slices, slice, n_out, k;
};
__global__ void __launch_bounds__(32 * sum_warps) add_slices_kernel(AddSlices a) {
  __shared__ float of_warp[sum_warps][32];
  const int64_t i = int64_t{blockIdx.x} * 32 + threadIdx.x;
  const bool is = i < a.slice;
  float sum = 0;
#pragma unroll 4
  for (int64_t s = threadIdx.y; s < a.slices; s += sum_warps)
    if (is) sum += a.sums[s * a.slice + i];
  of_warp[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || !is) return;
  for (int warp = 1; warp < sum_warps; ++warp) sum += of_warp[warp][threadIdx.x];
  const int64_t j = i / a.n_out, o = i % a.n_out;
  (j == a.k ? a.db[o] : a.dw[o * a.k + j]) = sum;
}

template <bool tiled, class X, class D>
void weights_with(const Cuda& device, const Weights<X, D>& a, const GeoSlices& slices) {
  const int64_t shared = tiled ? a.side.window * geo_bytes_per_input : 0;
  const int64_t chunks = (a.n_out + a.side.chunk - 1) / a.side.chunk;
  const auto kernel = weights_kernel<tiled, X, D>;
  allow_shared(kernel, static_cast<size_t>(shared));
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
    a.sums = static_cast<float*>(args.scratch);
    a.bias_sums = db ? a.sums + n_out * k : nullptr;
    a.output = 1;
    a.edge = n_out;
  }
  if (a.side.window * geo_bytes_per_input <= geo_most_shared)
    weights_with<true>(device, a, slices);
  else
    weights_with<false>(device, a, slices);
  if (slices.count > 1)
    launch(add_slices_kernel, static_cast<unsigned>((slice + 31) / 32), dim3(32, sum_warps), 0,
           stream_of(device), AddSlices{a.sums, dw, db, slices.count, slice, n_out, k});
}

}  // namespace

template <>
void geo_gather(Cuda& device, const GeoGatherArgs& args) {
  if (args.rows == 0) return;
  by_storage_type(args.x_dtype, [&](auto x) {
    by_storage_type(args.y_dtype,
                    [&](auto y) { gather_types<decltype(x), decltype(y)>(device, args); });
  });
}

template <>
void geo_weight_gradient(Cuda& device, const GeoWeightArgs& args) {
  by_storage_type(args.x_dtype, [&](auto x) {
    by_storage_type(args.dy_dtype,
                    [&](auto dy) { weights_types<decltype(x), decltype(dy)>(device, args); });
  });
}

}  // namespace sinew
