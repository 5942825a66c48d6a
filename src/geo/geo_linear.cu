// y and dx of the sparse layer on a GPU: gathers from a tile of x in shared memory. Lanes run along
// the targets: neighbours read neighbours and write y side by side. A block keeps its chunk of
// targets and their edges for many tiles. Layouts: geo_linear.h, docs/performance.md.
#include "geo/geo_linear.h"

#include "geo/tile_cuda.h"

namespace sinew {
namespace {

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

// Blocks along the rows: 8 tiles each, so that staging pays, but 528 blocks in all where there are
// so many tiles: 4 on each of 132 multiprocessors.
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
  allow_shared(kernel, shared, a.side.most_shared);
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

}  // namespace

template <>
void geo_gather(Cuda& device, const GeoGatherArgs& args) {
  if (args.rows == 0) return;
  by_storage_type(args.x_dtype, [&](auto x) {
    by_storage_type(args.y_dtype,
                    [&](auto y) { gather_types<decltype(x), decltype(y)>(device, args); });
  });
}

}  // namespace sinew
