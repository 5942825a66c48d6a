// Residual blocks on the CPU, forward. A task takes a tile of rows through all blocks; the batch is
// innermost, so that an edge is a broadcast weight and a few multiply-adds, and everything between
// two sparse layers happens on sums that are still in registers. The norm costs one pass over a
// tile: its scale is multiplied into the weights beforehand, its 1/sqrt onto the sums.
//     z = r sum_j (w1 scale)[o, j] (x - mean) + b1',   b1' = b1 + sum_j w1[o, j] shift
#include "geo/geo_blocks.h"

#include "geo/block_tile.h"

namespace sinew {
namespace {

template <class T>
Vec<T> within(Vec<T> v, SineBound bound) {
  return Clamp::f(v, {bound.low, bound.high});
}

template <class T>
void make_effective(const GeoBlocks& a, const SineParameters& p, T* out) {
  for_each_vector<T>(a.n, [&](int64_t i, auto io) {
    const auto plus = [&](const void* raw) { return Softplus::f(io.get(at<T>(raw, i)), {}); };
    io.put(out + i, within<T>(plus(p.amplitude), p.amplitude_bound));
    io.put(out + a.n + i,
           within<T>(plus(p.frequency) + Vec<T>(static_cast<T>(1e-6)), p.frequency_bound));
    io.put(out + 2 * a.n + i, within<T>(plus(p.decay), p.decay_bound));
    io.put(out + 3 * a.n + i, p.phase ? io.get(at<T>(p.phase, i)) : Vec<T>(T(0)));
  });
}

template <class T>
void make_ready(const GeoBlocks& a, int64_t index) {
  const GeoBlockPointers& b = a.blocks[index];
  const Ready<T> ready(a, index);
  if (a.activation == TileFunction::sine) make_effective<T>(a, b.sine, ready.effective);
  for (int64_t o = 0; o < a.n; ++o) {
    T bias = b.b1 ? at<T>(b.b1)[o] : T(0), sum = 0;
    for (int64_t e = o * a.k; e < (o + 1) * a.k; ++e) {
      const T w = at<T>(b.w1)[e];
      ready.w1s[e] = b.scale ? w * at<T>(b.scale)[b.table[e]] : w;
      if (b.shift) bias += w * at<T>(b.shift)[b.table[e]];
      sum += ready.w1s[e];
    }
    ready.bias1[o] = bias;
    ready.row_sum[o] = sum;
  }
  if (!a.saved) return;
  const T alpha = *at<T>(b.alpha);
  for (int64_t e = 0; e < a.n * a.k; ++e) {
    ready.w1s_reverse[e] = ready.w1s[b.reverse_edge[e]];
    ready.w2_reverse[e] = alpha * at<T>(b.w2)[b.reverse_edge[e]];
  }
}

// mean and r = 1 / sqrt(variance + eps) of each row of plane x.
template <class T>
void row_stats(const GeoBlocks& a, const T* x, T* mean, T* r) {
  const Vec<T> n(static_cast<T>(a.n));
  const auto value = [&](int64_t i, int64_t row) { return load(x + i * a.width + row); };
  for (int64_t row = 0; row < a.width; ++row) mean[row] = T(0), r[row] = T(1);
  if (a.norm == BlockNorm::none) return;
  if (a.norm == BlockNorm::layer) sum_over_features<T>(a, mean, value);
  for (int64_t row = 0; row < a.width; row += lanes<T>) store(mean + row, load(mean + row) / n);
  sum_over_features<T>(a, r, [&](int64_t i, int64_t row) {
    const Vec<T> d = value(i, row) - load(mean + row);
    return d * d;
  });
  for (int64_t row = 0; row < a.width; row += lanes<T>)
    store(r + row, Vec<T>(T(1)) / sqrt(load(r + row) / n + Vec<T>(static_cast<T>(a.eps))));
}

// z and y = act(z), c, of all features; z and c are stored where they are not null.
template <class T, Compiled compiled>
void first_layer(const GeoBlocks& a, int64_t index, const T* x, const T* r,
                 const TilePlanes<T>& out) {
  constexpr int64_t v = lanes<T>;
  const GeoBlockPointers& b = a.blocks[index];
  const Ready<T> ready(a, index);
  for (int64_t o = 0; o < a.n; ++o) {
    const TileActivation<T, compiled> act(a, b, ready.effective, o);
    const Vec<T> bias(ready.bias1[o]);
    for_each_group<T>(a.width, [&](auto group, int64_t row) {
      Vec<T> sum[group];
      for (Vec<T>& s : sum) s = Vec<T>(T(0));
      add_edges<T, group>(b.table + o * a.k, ready.w1s + o * a.k, a.k, x + row, a.width, sum);
      for (int i = 0; i < group; ++i) {
        const int64_t place = o * a.width + row + i * v;
        const Vec<T> z = xsimd::fma(sum[i], load(r + row + i * v), bias);
        Vec<T> y, c;
        act.values(z, y, c);
        if (out.z) store(out.z + place, z);
        store(out.y + place, y);
        if (out.c) store(out.c + place, c);
      }
    });
  }
}

// next = x + alpha keep (w2 y + b2)
template <class T>
void second_layer(const GeoBlocks& a, int64_t index, const T* x, const T* y, const T* keep,
                  T* next) {
  constexpr int64_t v = lanes<T>;
  const GeoBlockPointers& b = a.blocks[index];
  const Vec<T> alpha(*at<T>(b.alpha));
  for (int64_t o = 0; o < a.n; ++o) {
    const Vec<T> bias(b.b2 ? at<T>(b.b2)[o] : T(0));
    for_each_group<T>(a.width, [&](auto group, int64_t row) {
      Vec<T> sum[group];
      for (Vec<T>& s : sum) s = bias;
      add_edges<T, group>(b.table + o * a.k, at<T>(b.w2, o * a.k), a.k, y + row, a.width, sum);
      for (int i = 0; i < group; ++i) {
        const int64_t place = o * a.width + row + i * v;
        const Vec<T> factor = alpha * load(keep + row + i * v);
        store(next + place, xsimd::fma(factor, sum[i], load(x + place)));
      }
    });
  }
}

template <class T>
void forward_tile(const GeoBlocksForward& args, int64_t tile, int thread) {
  const GeoBlocks& a = args.stack;
  const int64_t row = tile * a.width, rows = a.rows - row < a.width ? a.rows - row : a.width;
  T* const spare[2] = {scratch_plane<T>(a, thread, 0), scratch_plane<T>(a, thread, 1)};
  T* const spare_y = scratch_plane<T>(a, thread, 2);
  T* const centred = scratch_plane<T>(a, thread, 3);
  alignas(64) T own_stats[2 * tile_width], keep[tile_width];
  const auto planes = [&](int64_t i) {
    TilePlanes<T> p{spare[i % 2], nullptr, spare_y, nullptr};
    if (a.saved && i < a.count) p = saved_planes<T>(a, tile, i);
    if (!p.y) p.y = spare_y;
    return p;
  };
  load_tile(at<T>(args.x, row * a.n), a.n, rows, 0, a.n, a.width, planes(0).x, a.width);
  // Rows beyond the last repeat it, so that they are not finite only where it is not: their
  // gradients are 0, and 0 times infinity would reach the weights.
  for (int64_t i = 0; i < a.n * a.width && rows < a.width; i += a.width)
    for (int64_t r = rows; r < a.width; ++r) planes(0).x[i + r] = planes(0).x[i + rows - 1];
  for (int64_t i = 0; i < a.count; ++i) {
    const TilePlanes<T> p = planes(i);
    T* stats = a.stats ? static_cast<T*>(a.stats) + (tile * a.count + i) * 2 * a.width : own_stats;
    const T* x = p.x;
    row_stats<T>(a, x, stats, stats + a.width);
    if (a.norm == BlockNorm::layer) {
      for (int64_t j = 0; j < a.n * a.width; j += lanes<T>)
        store(centred + j, load(x + j) - load(stats + j % a.width));
      x = centred;
    }
    if (compiled_for(a) == Compiled::any)
      first_layer<T, Compiled::any>(a, i, x, stats + a.width, p);
    else if constexpr (std::is_same_v<T, float>)
      first_layer<T, Compiled::sine_abs>(a, i, x, stats + a.width, p);
    load_keep<T>(a.blocks[i].keep, a, tile, keep);
    second_layer<T>(a, i, p.x, p.y, keep, planes(i + 1).x);
  }
  store_tile(planes(a.count).x, a.width, rows, static_cast<T*>(args.y) + row * a.n, a.n, 0, a.n);
}

template <class T>
void forward(Cpu& device, const GeoBlocksForward& args) {
  const GeoBlocks& a = args.stack;
  parallel_for(device, a.count, a.n * (a.k * 6 + 64),
               [&](int64_t block) { make_ready<T>(a, block); });
  parallel_for(device, a.tiles, a.count * a.n * a.width * (2 * a.k + 32),
               [&](int64_t tile, int thread) { forward_tile<T>(args, tile, thread); });
}

}  // namespace

template <>
void geo_blocks(Cpu& device, const GeoBlocksForward& args) {
  by_real_type(args.stack.dtype, [&](auto type) { forward<decltype(type)>(device, args); });
}

}  // namespace sinew
