// Residual blocks on the CPU, backward. A task takes its tiles of rows back through all blocks and
// adds up the gradients of parameters, which a second pass then sums over the tasks, in order.
// With g = dL/dnext, x' = x - mean, r = 1 / sqrt(var + eps), keep and alpha as in the forward:
//
//   dw2, db2   from g keep and y
//   dalpha     = <w2, dw2 / alpha> + <b2, db2 / alpha>
//   q, dz      q = sum of alpha w2 g keep over the edges that read y; dz = q act'(z)
//   dw1, db1   from dz r and x'
//   dscale     = sum of w1 dw1 / scale over the edges that read a feature
//   dx         = g + u - r (r m / n) x', where u = sum of (w1 scale) dz r over the edges that read
//              x, m = sum over features of dz (z - b1'); less the mean of u where the norm centres
//
// so that no gradient of a norm needs another pass over the features.
#include "geo/block_tile.h"

namespace sinew {
namespace {

// Per tile and block; rows of a tile in planes (n, width).
template <class T>
struct Backward {
  const GeoBlocks& a;
  const GeoBlockPointers& b;
  Ready<T> ready;
  TilePlanes<T> p;
  const T *mean, *r;
  T* dz;    // plane, times r
  T* sums;  // gradients of this part
  GeoBlockGradients where;
  alignas(64) T m[tile_width], u[tile_width];
};

template <class T>
void values_again(Backward<T>& s, T* y, T* c) {
  const GeoBlocks& a = s.a;
  for (int64_t i = 0; i < a.n; ++i) {
    const TileActivation<T, Compiled::any> act(a, s.b, s.ready.effective, i);
    for (int64_t j = i * a.width; j < (i + 1) * a.width; j += lanes<T>) {
      Vec<T> value, cosine;
      act.values(load(s.p.z + j), value, cosine);
      store(y + j, value);
      store(c + j, cosine);
    }
  }
  s.p.y = y;
  s.p.c = c;
}

// What a hidden feature's rows add to its bias, the bias above it and its activation's parameters.
template <class T>
struct HiddenSums {
  Vec<T> b1 = Vec<T>(T(0)), b2 = b1, amplitude = b1, frequency = b1, decay = b1, phase = b1;
  void push(LaneSums<T>& sums) const {
    const Vec<T> all[geo_hidden_sums] = {b1, b2, amplitude, frequency, decay, phase};
    for (int64_t i = 0; i < geo_hidden_sums; ++i) all[i].store_aligned(sums.next() + i * lanes<T>);
    sums.take(geo_hidden_sums);
  }
};

// q and dz of all features, their sums, and m and u of the rows.
template <class T, Compiled compiled>
void to_hidden(Backward<T>& s, const T* g) {
  constexpr int64_t v = lanes<T>;
  const GeoBlocks& a = s.a;
  LaneSums<T> hidden(s.sums + s.where.b1);
  EdgeSums<T> dw(s.sums + s.where.w2);
  for (int64_t i = 0; i < a.n; ++i) {
    const TileActivation<T, compiled> act(a, s.b, s.ready.effective, i);
    const int64_t first = s.b.reverse_start[i], count = s.b.reverse_start[i + 1] - first;
    const Vec<T> b1(s.ready.bias1[i]), row_sum(s.ready.row_sum[i]), zero(T(0));
    HiddenSums<T> d;
    for_each_group<T>(a.width, [&](auto group, int64_t row) {
      Vec<T> q[group], values[group];
      for (int j = 0; j < group; ++j) {
        q[j] = zero;
        values[j] = load(s.p.y + i * a.width + row + j * v);
      }
      add_edges_and_products<T, group>(s.b.reverse_source + first, s.ready.w2_reverse + first,
                                       count, g + row, a.width, values, q, dw.at_row(row));
      for (int j = 0; j < group; ++j) {
        const int64_t at_row = row + j * v, place = i * a.width + at_row;
        const Vec<T> z = load(s.p.z + place), y = values[j];
        const Vec<T> c = act.is(TileFunction::sine) ? load(s.p.c + place) : zero;
        const Vec<T> dz = q[j] * act.slope(z, y, c), scaled = dz * load(s.r + at_row);
        if (act.is(TileFunction::sine)) {
          const Vec<T> qy = q[j] * y, qc = q[j] * c;
          d.amplitude += qy;
          d.frequency = xsimd::fma(qc, z, d.frequency);
          d.decay = xsimd::fnma(qy, act.decay_argument(z), d.decay);
          d.phase += qc;
        }
        d.b1 += dz;
        d.b2 += load(g + place);
        store(s.dz + place, scaled);
        if (a.norm != BlockNorm::none)
          store(s.m + at_row, xsimd::fma(dz, z - b1, load(s.m + at_row)));
        if (a.norm == BlockNorm::layer)
          store(s.u + at_row, xsimd::fma(scaled, row_sum, load(s.u + at_row)));
      }
    });
    d.push(hidden);
  }
  dw.flush();
  hidden.flush();
}

// g becomes dL/dx.
template <class T>
void to_input(const Backward<T>& s, const T* x, T* g) {
  constexpr int64_t v = lanes<T>;
  const GeoBlocks& a = s.a;
  EdgeSums<T> dw(s.sums + s.where.w1);
  for (int64_t i = 0; i < a.n; ++i) {
    const int64_t first = s.b.reverse_start[i], count = s.b.reverse_start[i + 1] - first;
    for_each_group<T>(a.width, [&](auto group, int64_t row) {
      Vec<T> u[group], values[group];
      for (int j = 0; j < group; ++j) {
        u[j] = -load(s.u + row + j * v);
        values[j] = load(x + i * a.width + row + j * v);
      }
      add_edges_and_products<T, group>(s.b.reverse_source + first, s.ready.w1s_reverse + first,
                                       count, s.dz + row, a.width, values, u, dw.at_row(row));
      for (int j = 0; j < group; ++j) {
        T* out = g + i * a.width + row + j * v;
        const Vec<T> normed = values[j] * load(s.r + row + j * v);
        store(out, load(out) + (u[j] - normed * load(s.m + row + j * v)));
      }
    });
  }
  dw.flush();
}

template <class T>
void backward_block(const GeoBlocksBackward& args, int64_t part, int64_t tile, int64_t index,
                    int thread, T* g) {
  const GeoBlocks& a = args.stack;
  const GeoBlockPointers& b = a.blocks[index];
  const GeoBlockGradients where = geo_block_gradients(a.n, a.k);
  const T* stats = at<T>(a.stats, (tile * a.count + index) * 2 * a.width);
  Backward<T> s{a,
                b,
                Ready<T>(a, index),
                saved_planes<T>(a, tile, index),
                stats,
                stats + a.width,
                scratch_plane<T>(a, thread, 1),
                static_cast<T*>(args.partial) + (part * a.count + index) * where.size,
                where,
                {},
                {}};
  if (!s.p.y) values_again(s, scratch_plane<T>(a, thread, 2), scratch_plane<T>(a, thread, 3));
  const T* kept = g;
  if (b.keep) {
    alignas(64) T keep[tile_width];
    load_keep<T>(b.keep, a, tile, keep);
    for (int64_t j = 0; j < a.n * a.width; j += lanes<T>)
      store(scratch_plane<T>(a, thread, 4) + j, load(g + j) * load(keep + j % a.width));
    kept = scratch_plane<T>(a, thread, 4);
  }
  if (compiled_for(a) == Compiled::any)
    to_hidden<T, Compiled::any>(s, kept);
  else if constexpr (std::is_same_v<T, float>)
    to_hidden<T, Compiled::sine_abs>(s, kept);
  const Vec<T> n(static_cast<T>(a.n));
  for (int64_t row = 0; row < a.width; row += lanes<T>) {
    const Vec<T> r = load(s.r + row);
    store(s.m + row, r * load(s.m + row) / n);
    store(s.u + row, load(s.u + row) / n);
  }
  const T* x = s.p.x;
  if (a.norm == BlockNorm::layer) {
    T* centred = scratch_plane<T>(a, thread, 2);  // y is not needed any more
    for (int64_t j = 0; j < a.n * a.width; j += lanes<T>)
      store(centred + j, load(x + j) - load(s.mean + j % a.width));
    x = centred;
  }
  to_input<T>(s, x, g);
}

template <class T>
void backward_part(const GeoBlocksBackward& args, int64_t part, int thread) {
  const GeoBlocks& a = args.stack;
  const int64_t size = geo_block_gradients(a.n, a.k).size * a.count;
  T* sums = static_cast<T*>(args.partial) + part * size;
  for (int64_t i = 0; i < size; ++i) sums[i] = T(0);
  T* g = scratch_plane<T>(a, thread, 0);
  for (int64_t tile = part; tile < a.tiles; tile += args.parts) {
    const int64_t row = tile * a.width, rows = a.rows - row < a.width ? a.rows - row : a.width;
    load_tile(at<T>(args.dy, row * a.n), a.n, rows, 0, a.n, a.width, g, a.width);
    for (int64_t i = a.count; i-- > 0;) backward_block<T>(args, part, tile, i, thread, g);
    if (args.dx) store_tile(g, a.width, rows, static_cast<T*>(args.dx) + row * a.n, a.n, 0, a.n);
  }
}

template <class T>
void raw_gradient(int64_t n, const void* raw, SineBound bound, double floor, T* d) {
  for_each_vector<T>(n, [&](int64_t i, auto io) {
    const Vec<T> v = io.get(at<T>(raw, i));
    const Vec<T> effective = Softplus::f(v, {}) + Vec<T>(static_cast<T>(floor));
    io.put(d + i,
           io.get(d + i) * Softplus::d(v, {}) * Clamp::d(effective, {bound.low, bound.high}));
  });
}

template <class T>
T dot(const T* x, const T* y, int64_t n) {
  const int64_t whole = n / lanes<T> * lanes<T>, rest = n - whole;
  Vec<T> sum = load_tail(x + whole, rest, T(0)) * load_tail(y + whole, rest, T(0));
  for (int64_t i = 0; i < whole; i += lanes<T>) sum += load(x + i) * load(y + i);
  return horizontal_sum<T>(sum);
}

// From the gradients of the scaled weights to those of weights, scale and shift.
template <class T>
void through_norm(const GeoBlocks& a, const GeoBlockPointers& b, const GeoBlockGradients& where,
                  T* d) {
  for (int64_t o = 0; o < a.n; ++o)
    for (int64_t e = o * a.k; e < (o + 1) * a.k; ++e) {
      const int64_t i = b.table[e];
      const T w = at<T>(b.w1)[e];
      d[where.scale + i] += w * d[where.w1 + e];
      d[where.w1 + e] *= at<T>(b.scale)[i];
      if (!b.shift) continue;
      d[where.shift + i] += w * d[where.b1 + o];
      d[where.w1 + e] += at<T>(b.shift)[i] * d[where.b1 + o];
    }
}

// From the order in which sums are collected to that of the gradients.
template <class T>
void in_order(const GeoBlocks& a, const GeoBlockPointers& b, const T* sums, T* d) {
  const GeoBlockGradients where = geo_block_gradients(a.n, a.k);
  for (int64_t e = 0; e < a.n * a.k; ++e) {
    d[where.w1 + b.reverse_edge[e]] = sums[where.w1 + e];
    d[where.w2 + b.reverse_edge[e]] = sums[where.w2 + e];
  }
  for (int64_t j = 0; j < geo_hidden_sums; ++j)
    for (int64_t i = 0; i < a.n; ++i)
      d[where.b1 + j * a.n + i] = sums[where.b1 + geo_hidden_sums * i + j];
  for (int64_t i = where.scale; i < where.size; ++i) d[i] = T(0);
}

// Sums over the parts, then what a parameter's gradient needs beside the sum over the rows.
template <class T>
void finish(const GeoBlocksBackward& args, int64_t index) {
  const GeoBlocks& a = args.stack;
  const GeoBlockPointers& b = a.blocks[index];
  const GeoBlockGradients where = geo_block_gradients(a.n, a.k);
  T* d = static_cast<T*>(args.d) + index * where.size;
  T* total = static_cast<T*>(args.partial) + index * where.size;  // of the first part, then of all
  for (int64_t part = 1; part < args.parts; ++part) {
    const T* sums = total + part * a.count * where.size;
    for (int64_t i = 0; i < where.size; ++i) total[i] += sums[i];
  }
  in_order<T>(a, b, total, d);
  if (b.scale) through_norm<T>(a, b, where, d);
  const int64_t edges = a.n * a.k;
  T dalpha = dot<T>(at<T>(b.w2), d + where.w2, edges);
  if (b.b2) dalpha += dot<T>(at<T>(b.b2), d + where.b2, a.n);
  d[where.alpha] = dalpha;
  const T alpha = *at<T>(b.alpha);
  for (int64_t i = 0; i < edges; ++i) d[where.w2 + i] *= alpha;
  for (int64_t i = 0; i < a.n; ++i) d[where.b2 + i] *= alpha;
  if (a.activation != TileFunction::sine) return;
  T* amplitude = d + where.sine;
  const Ready<T> ready(a, index);
  for (int64_t i = 0; i < a.n; ++i)
    amplitude[i] = ready.effective[i] == T(0) ? T(0) : amplitude[i] / ready.effective[i];
  raw_gradient<T>(a.n, b.sine.amplitude, b.sine.amplitude_bound, 0, amplitude);
  raw_gradient<T>(a.n, b.sine.frequency, b.sine.frequency_bound, 1e-6, amplitude + a.n);
  raw_gradient<T>(a.n, b.sine.decay, b.sine.decay_bound, 0, amplitude + 2 * a.n);
}

template <class T>
void backward(Cpu& device, const GeoBlocksBackward& args) {
  const GeoBlocks& a = args.stack;
  parallel_for(device, args.parts, a.rows * a.count * a.n * (4 * a.k + 32) / args.parts,
               [&](int64_t part, int thread) { backward_part<T>(args, part, thread); });
  parallel_for(device, a.count, a.n * a.k * (args.parts + 8),
               [&](int64_t block) { finish<T>(args, block); });
}

}  // namespace

template <>
void geo_blocks_backward(Cpu& device, const GeoBlocksBackward& args) {
  by_real_type(args.stack.dtype, [&](auto type) { backward<decltype(type)>(device, args); });
}

}  // namespace sinew
