// Sparse layer on the CPU. A task transposes 64 rows to a tile (batch innermost) and keeps four
// vectors of sums per output, so that each edge is one broadcast and four multiply-adds; outputs
// are transposed back in blocks. For the weight gradient a part of the tiles adds up sums of its
// own, in order, and a second pass adds the parts.
#include "geo/geo_linear.h"

#include "core/parallel.h"
#include "geo/edges.h"

namespace sinew {
namespace {

constexpr int64_t block = 16;  // outputs between two transposes

// The edges of a direction: those of target c are start(c) .. start(c + 1), with their weights.
template <class T>
struct Edges {
  const int32_t* source;
  const T* w;
  const int32_t* starts;  // null: k each
  int64_t k;
  int64_t start(int64_t c) const { return starts ? starts[c] : c * k; }
};

template <class T>
Edges<T> edges_of(Cpu& device, const GeoGatherArgs& a) {
  const T* w = static_cast<const T*>(a.w);
  if (a.direction == GeoDirection::forward) return {a.table, w, nullptr, a.k};
  T* by_input = static_cast<T*>(a.reverse_w);
  parallel_pieces(device, a.n_x * a.k, 4096, 2, [=](int64_t first, int64_t count) {
    for (int64_t e = first; e < first + count; ++e) by_input[e] = w[a.reverse_edge[e]];
  });
  return {a.reverse_source, by_input, a.reverse_start, a.k};
}

// out[c - first][0..64) for targets [first, last)
template <class T>
void gather_block(const Edges<T>& edges, const T* tile, const T* bias, int64_t first, int64_t last,
                  T* out) {
  for (int64_t c = first; c < last; ++c)
    for_each_group<T>(tile_width, [&](auto group, int64_t row) {
      Vec<T> sum[group];
      for (Vec<T>& s : sum) s = Vec<T>(bias ? bias[c] : T(0));
      const int64_t begin = edges.start(c);
      add_edges<T, group>(edges.source + begin, edges.w + begin, edges.start(c + 1) - begin,
                          tile + row, tile_width, sum);
      for (int v = 0; v < group; ++v)
        store(out + (c - first) * tile_width + row + v * lanes<T>, sum[v]);
    });
}

template <class T>
void gather_rows(Cpu& device, const GeoGatherArgs& a) {
  const int64_t tiles = (a.rows + tile_width - 1) / tile_width;
  const Edges<T> edges = edges_of<T>(device, a);
  parallel_for(device, tiles, tile_width * a.n_y * a.k, [&](int64_t t, int thread) {
    T* tile = static_cast<T*>(a.scratch) + thread * a.n_x * tile_width;
    alignas(64) T out[block * tile_width];
    const int64_t row = t * tile_width;
    const int64_t rows = a.rows - row < tile_width ? a.rows - row : tile_width;
    load_tile(static_cast<const T*>(a.x) + row * a.n_x, a.n_x, rows, 0, a.n_x, tile_width, tile,
              tile_width);
    T* y = static_cast<T*>(a.y) + row * a.n_y;
    for (int64_t first = 0; first < a.n_y; first += block) {
      const int64_t last = first + block < a.n_y ? first + block : a.n_y;
      gather_block<T>(edges, tile, static_cast<const T*>(a.bias), first, last, out);
      store_tile(out, tile_width, rows, y, a.n_y, first, last - first);
    }
  });
}

// Of one tile: dw[o, j] += sum_r dy[o][r] x[table[o, j]][r], db[o] += sum_r dy[o][r].
template <class T>
void add_weight_sums(const GeoWeightArgs& a, const T* x, const T* dy, T* dw, T* db) {
  constexpr int64_t room = LaneSums<T>::room;
  EdgeSums<T> edges(dw), outputs(db);
  for (int64_t o = 0; o < a.n_out; ++o)
    for_each_group<T>(tile_width, [&](auto group, int64_t row) {
      Vec<T> d[group];
      for (int v = 0; v < group; ++v) d[v] = load(dy + o * tile_width + row + v * lanes<T>);
      LaneSums<T>& sums = edges.at_row(row);
      for (int64_t first = 0; first < a.k; first += room) {
        const int64_t count = first + room < a.k ? room : a.k - first;
        T* next = sums.next();
        for (int64_t j = 0; j < count; ++j, next += lanes<T>) {
          const T* p = x + a.table[o * a.k + first + j] * tile_width + row;
          Vec<T> product[2] = {d[0] * load(p), d[1] * load(p + lanes<T>)};
          for (int v = 2; v < group; ++v)
            product[v % 2] = xsimd::fma(d[v], load(p + v * lanes<T>), product[v % 2]);
          (product[0] + product[1]).store_aligned(next);
        }
        sums.take(count);
      }
      Vec<T> sum = d[0];
      for (int v = 1; v < group; ++v) sum += d[v];
      outputs.at_row(row).push(sum);
    });
  edges.flush();
  outputs.flush();
}

template <class T>
void weight_gradient(Cpu& device, const GeoWeightArgs& a) {
  const int64_t tiles = (a.rows + tile_width - 1) / tile_width, edges = a.n_out * a.k;
  const int64_t size = edges + a.n_out;
  T* partial = static_cast<T*>(a.partial);
  parallel_for(device, a.parts, a.rows * edges / a.parts, [&](int64_t part, int thread) {
    T* x = static_cast<T*>(a.scratch) + thread * (a.n_in + a.n_out) * tile_width;
    T *dy = x + a.n_in * tile_width, *sums = partial + part * size;
    for (int64_t i = 0; i < size; ++i) sums[i] = T(0);
    for (int64_t t = part; t < tiles; t += a.parts) {
      const int64_t row = t * tile_width;
      const int64_t rows = a.rows - row < tile_width ? a.rows - row : tile_width;
      load_tile(static_cast<const T*>(a.x) + row * a.n_in, a.n_in, rows, 0, a.n_in, tile_width, x,
                tile_width);
      load_tile(static_cast<const T*>(a.dy) + row * a.n_out, a.n_out, rows, 0, a.n_out, tile_width,
                dy, tile_width);
      add_weight_sums<T>(a, x, dy, sums, sums + edges);
    }
  });
  T *dw = static_cast<T*>(a.dw), *db = static_cast<T*>(a.db);
  parallel_pieces(device, size, 4096, a.parts, [=](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i) {
      T sum = partial[i];
      for (int64_t part = 1; part < a.parts; ++part) sum += partial[part * size + i];
      if (i < edges)
        dw[i] = sum;
      else if (db)
        db[i - edges] = sum;
    }
  });
}

}  // namespace

template <>
void geo_gather(Cpu& device, const GeoGatherArgs& args) {
  by_real_type(args.x_dtype, [&](auto type) { gather_rows<decltype(type)>(device, args); });
}

template <>
void geo_weight_gradient(Cpu& device, const GeoWeightArgs& args) {
  by_real_type(args.x_dtype, [&](auto type) { weight_gradient<decltype(type)>(device, args); });
}

}  // namespace sinew
