// Sparse layer on the CPU. A task takes 64 rows: it transposes them to a tile (batch innermost) and
// keeps four vectors of sums per output, so that each edge is one broadcast and four multiply-adds;
// outputs are transposed back in blocks. The weight gradient transposes all rows first; a task then
// owns a range of outputs and runs over the rows in order.
#include "geo/geo_linear.h"

#include "core/parallel.h"
#include "geo/tile.h"

namespace sinew {
namespace {

constexpr int64_t block = 16;          // outputs between two transposes
constexpr int64_t rows_at_once = 256;  // of the weight gradient, between two sums over lanes

struct ForwardEdges {
  const int32_t* table;
  int64_t k;
  int64_t begin(int64_t c) const { return c * k; }
  int64_t edge(int64_t e) const { return e; }
  int64_t source(int64_t e) const { return table[e]; }
};
struct ReverseEdges {
  const int32_t* start;
  const int32_t* edges;
  int64_t k;
  int64_t begin(int64_t c) const { return start[c]; }
  int64_t edge(int64_t e) const { return edges[e]; }
  int64_t source(int64_t e) const {
    return static_cast<uint32_t>(edges[e]) / static_cast<uint32_t>(k);
  }
};

// out[c - first][0..64) for outputs [first, last)
template <class T, class Edges>
void gather_block(const Edges& edges, const T* tile, const T* w, const T* bias, int64_t first,
                  int64_t last, T* out) {
  constexpr int64_t v = lanes<T>, group = 4 * v;
  for (int64_t c = first; c < last; ++c) {
    const int64_t begin = edges.begin(c), end = edges.begin(c + 1);
    const Vec<T> start(bias ? bias[c] : T(0));
    for (int64_t r = 0; r < tile_width; r += group) {
      Vec<T> a0 = start, a1 = start, a2 = start, a3 = start;
      for (int64_t e = begin; e < end; ++e) {
        const Vec<T> weight(w[edges.edge(e)]);
        const T* p = tile + edges.source(e) * tile_width + r;
        a0 = xsimd::fma(weight, load(p), a0);
        a1 = xsimd::fma(weight, load(p + v), a1);
        a2 = xsimd::fma(weight, load(p + 2 * v), a2);
        a3 = xsimd::fma(weight, load(p + 3 * v), a3);
      }
      T* q = out + (c - first) * tile_width + r;
      store(q, a0);
      store(q + v, a1);
      store(q + 2 * v, a2);
      store(q + 3 * v, a3);
    }
  }
}

template <class T, class Edges>
void gather_rows(Cpu& device, const GeoGatherArgs& a, const Edges& edges) {
  const int64_t tiles = (a.rows + tile_width - 1) / tile_width;
  const int64_t work = tiles * tile_width * a.n_y * a.k;
  parallel_for(device, a.slots, work / (a.slots ? a.slots : 1), [&](int64_t slot) {
    T* tile = static_cast<T*>(a.scratch) + slot * a.n_x * tile_width;
    alignas(64) T out[block * tile_width];
    for (int64_t t = slot; t < tiles; t += a.slots) {
      const int64_t row = t * tile_width;
      const int64_t rows = a.rows - row < tile_width ? a.rows - row : tile_width;
      load_tile(static_cast<const T*>(a.x) + row * a.n_x, a.n_x, rows, 0, a.n_x, tile_width, tile,
                tile_width);
      T* y = static_cast<T*>(a.y) + row * a.n_y;
      for (int64_t first = 0; first < a.n_y; first += block) {
        const int64_t last = first + block < a.n_y ? first + block : a.n_y;
        gather_block<T>(edges, tile, static_cast<const T*>(a.w), static_cast<const T*>(a.bias),
                        first, last, out);
        store_tile(out, tile_width, rows, y, a.n_y, first, last - first);
      }
    }
  });
}

// Sums of the products of two rows of a transposed matrix, one vector of partial sums.
template <class T>
inline Vec<T> products(const T* a, const T* b, int64_t rows) {
  constexpr int64_t v = lanes<T>;
  Vec<T> s[2] = {Vec<T>(T(0)), Vec<T>(T(0))};
  int64_t r = 0;
  for (; r + 2 * v <= rows; r += 2 * v)
    for (int64_t i = 0; i < 2; ++i)
      s[i] = xsimd::fma(load(a + r + i * v), load(b + r + i * v), s[i]);
  if (r < rows) s[0] = xsimd::fma(load(a + r), load(b + r), s[0]);
  return s[0] + s[1];
}

template <class T>
void weight_gradient(Cpu& device, const GeoWeightArgs& a) {
  constexpr int64_t v = lanes<T>, outputs = 32;
  const int64_t padded = (a.rows + tile_width - 1) / tile_width * tile_width;
  T* xt = static_cast<T*>(a.scratch);  // parts of up to 256 rows, each (n, rows of the part)
  T* dyt = xt + padded * a.n_in;
  const int64_t parts = (padded + rows_at_once - 1) / rows_at_once;
  const auto rows_of = [=](int64_t part) {
    const int64_t left = padded - part * rows_at_once;
    return left < rows_at_once ? left : rows_at_once;
  };
  parallel_for(device, padded / tile_width, tile_width * (a.n_in + a.n_out), [&](int64_t t) {
    const int64_t row = t * tile_width, part = row / rows_at_once, at = row % rows_at_once;
    const int64_t rows = a.rows - row < tile_width ? a.rows - row : tile_width;
    load_tile(static_cast<const T*>(a.x) + row * a.n_in, a.n_in, rows, 0, a.n_in, tile_width,
              xt + part * rows_at_once * a.n_in + at, rows_of(part));
    load_tile(static_cast<const T*>(a.dy) + row * a.n_out, a.n_out, rows, 0, a.n_out, tile_width,
              dyt + part * rows_at_once * a.n_out + at, rows_of(part));
  });
  parallel_pieces(device, a.n_out, outputs, padded * a.k, [&](int64_t first, int64_t count) {
    T* dw = static_cast<T*>(a.dw);
    const int64_t begin = first * a.k, end = (first + count) * a.k;
    for (int64_t part = 0; part < (parts ? parts : 1); ++part) {
      const int64_t rows = parts ? rows_of(part) : 0;
      const T* x = xt + part * rows_at_once * a.n_in;
      const T* dy = dyt + part * rows_at_once * a.n_out;
      for (int64_t e = begin; e < end; e += v) {
        Vec<T> s[v];
        for (int64_t i = 0; i < v; ++i)
          s[i] = e + i < end ? products(x + a.table[e + i] * rows, dy + (e + i) / a.k * rows, rows)
                             : Vec<T>(T(0));
        const Vec<T> sums = sums_of_lanes<T>(s);
        const int64_t n = end - e < v ? end - e : v;
        if (part == 0)
          n == v ? store(dw + e, sums) : store_tail(dw + e, sums, n);
        else
          n == v ? store(dw + e, load(dw + e) + sums)
                 : store_tail(dw + e, load_tail(dw + e, n) + sums, n);
      }
    }
  });
}

template <class T>
void gather_any(Cpu& device, const GeoGatherArgs& a) {
  if (a.direction == GeoDirection::forward)
    gather_rows<T>(device, a, ForwardEdges{a.table, a.k});
  else
    gather_rows<T>(device, a, ReverseEdges{a.reverse_start, a.reverse_edge, a.k});
}

}  // namespace

template <>
void geo_gather(Cpu& device, const GeoGatherArgs& args) {
  args.x_dtype == DType::f64 ? gather_any<double>(device, args) : gather_any<float>(device, args);
}

template <>
void geo_weight_gradient(Cpu& device, const GeoWeightArgs& args) {
  args.x_dtype == DType::f64 ? weight_gradient<double>(device, args)
                             : weight_gradient<float>(device, args);
}

}  // namespace sinew
