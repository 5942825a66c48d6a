// For *.cpu.cpp: what forward and backward of the residual blocks share.
#pragma once
#include "core/parallel.h"
#include "core/scalar.h"
#include "geo/edges.h"
#include "geo/geo_blocks.h"

namespace sinew {
namespace {

template <class T>
const T* at(const void* p, int64_t offset = 0) {
  return static_cast<const T*>(p) + offset;
}

// Which activations a kernel is compiled for: branches inside its loops cost a tenth of its time.
enum class Compiled : uint8_t { any, sine_abs };
inline Compiled compiled_for(const GeoBlocks& a) {
  const bool sine_abs = a.activation == TileFunction::sine && a.blocks[0].sine.decay_mode == 0;
  return sine_abs && a.dtype == DType::f32 ? Compiled::sine_abs : Compiled::any;
}

// Activation of one feature: y = act(z), and c for the slope of the sine. Parameters one per
// feature in `effective` (4, n): A, f, d, phi.
template <class T, Compiled compiled>
struct TileActivation {
  using V = Vec<T>;
  TileFunction any_kind;
  int any_decay_mode;
  V amplitude, frequency, decay, phase;

  TileActivation(const GeoBlocks& a, const GeoBlockPointers& block, const T* effective, int64_t i)
      : any_kind(a.activation), any_decay_mode(block.sine.decay_mode) {
    if (!is(TileFunction::sine)) return;
    amplitude = V(effective[i]);
    frequency = V(effective[a.n + i]);
    decay = V(effective[2 * a.n + i]);
    phase = V(effective[3 * a.n + i]);
  }
  bool is(TileFunction kind) const {
    return compiled == Compiled::any ? any_kind == kind : kind == TileFunction::sine;
  }
  int decay_mode() const { return compiled == Compiled::any ? any_decay_mode : 0; }
  V decay_argument(V z) const {
    return decay_mode() == 0 ? V(abs(z)) : decay_mode() == 1 ? V(max(z, V(T(0)))) : V(T(0));
  }
  void values(V z, V& y, V& c) const {
    c = V(T(0));
    if (is(TileFunction::relu)) {
      y = Relu::f(z, {});
    } else if (is(TileFunction::tanh)) {
      y = tanh(z);
    } else {
      const auto both = xsimd::sincos(xsimd::fma(frequency, z, phase));
      V e = amplitude;
      if (decay_mode() != 2) e *= exp(-decay * decay_argument(z));
      y = e * both.first;
      c = e * both.second;
    }
  }
  V slope(V z, V y, V c) const {
    if (is(TileFunction::relu)) return Relu::d(z, {});
    if (is(TileFunction::tanh)) return V(T(1)) - y * y;
    if (decay_mode() == 2) return frequency * c;
    const V zero(T(0)),
        sign = select(z > zero, V(T(1)),
                      decay_mode() == 0 ? V(select(z < zero, V(T(-1)), zero)) : zero);
    return frequency * c - decay * sign * y;
  }
};

// Where a tile's planes of a block lie. z and c may be null where nothing is saved.
template <class T>
struct TilePlanes {
  T *x, *z, *y, *c;
};
template <class T>
TilePlanes<T> saved_planes(const GeoBlocks& a, int64_t tile, int64_t block) {
  const int64_t plane = a.n * a.width, planes = a.keeps_values ? 4 : 2;
  T* p = static_cast<T*>(a.saved) + (tile * a.count + block) * planes * plane;
  return {p, p + plane, a.keeps_values ? p + 2 * plane : nullptr,
          a.keeps_values ? p + 3 * plane : nullptr};
}
template <class T>
T* scratch_plane(const GeoBlocks& a, int thread, int64_t i) {
  return static_cast<T*>(a.scratch) + (thread * geo_scratch_planes + i) * a.n * a.width;
}

// Parts of `ready`, for one block.
template <class T>
struct Ready {
  T* effective;    // (4, n)
  T* bias1;        // (n): b1 and, with a norm's shift, what that adds to it
  T* row_sum;      // (n): sum_j w1s; for layer_norm's backward
  T* w1s;          // (n k): w1 times the scale of its input
  T* w1s_reverse;  // (n k), by input
  T* w2_reverse;   // (n k), by input, times alpha
  Ready(const GeoBlocks& a, int64_t block) {
    const int64_t n = a.n, edges = n * a.k;
    effective = static_cast<T*>(a.ready) + block * geo_ready(n, a.k);
    bias1 = effective + 4 * n;
    row_sum = bias1 + n;
    w1s = row_sum + n;
    w1s_reverse = w1s + edges;
    w2_reverse = w1s_reverse + edges;
  }
};

// The rows of `keep` that belong to a tile; those beyond the last repeat it.
template <class T>
void load_keep(const void* keep, const GeoBlocks& a, int64_t tile, T* out) {
  for (int64_t r = 0; r < a.width; ++r) {
    const int64_t row = tile * a.width + r < a.rows ? tile * a.width + r : a.rows - 1;
    out[r] = keep ? at<T>(keep)[row / a.rows_per_keep] : T(1);
  }
}

constexpr int64_t features_at_once = 32;  // of a sum over features: partial sums keep it exact

// sums[r] = sum over features of term(i, r), a vector of rows.
template <class T, class F>
void sum_over_features(const GeoBlocks& a, T* sums, const F& term) {
  constexpr int64_t v = lanes<T>;
  for (int64_t r = 0; r < a.width; r += v) store(sums + r, Vec<T>(T(0)));
  for (int64_t first = 0; first < a.n; first += features_at_once) {
    const int64_t last = first + features_at_once < a.n ? first + features_at_once : a.n;
    for (int64_t r = 0; r < a.width; r += v) {
      Vec<T> sum(T(0));
      for (int64_t i = first; i < last; ++i) sum += term(i, r);
      store(sums + r, load(sums + r) + sum);
    }
  }
}

}  // namespace
}  // namespace sinew
