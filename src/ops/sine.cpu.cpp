// Sine activation on the CPU: f32 by SIMD vectors along the columns, f64 by the C library. The
// backward needs no transcendental: the forward kept y and c. Parameter gradients are summed over
// chunks of 64 rows and then over the chunks in order.
#include "ops/sine.h"

#include <cmath>

#include "core/parallel.h"
#include "core/scalar.h"
#include "core/vec.h"

namespace sinew {
namespace {

// The vector type of an element type, and how far one goes.
template <class T>
struct Pack {
  using V = Vec<float>;
  static constexpr int64_t size = lanes<float>;
  static V get(const float* p) { return load(p); }
  static void put(float* p, V v) { store(p, v); }
};
template <>
struct Pack<double> {
  using V = double;
  static constexpr int64_t size = 1;
  static double get(const double* p) { return *p; }
  static void put(double* p, double v) { *p = v; }
};

inline void sine_cosine(Vec<float> x, Vec<float>& s, Vec<float>& c) {
  const auto both = xsimd::sincos(x);
  s = both.first;
  c = both.second;
}
inline void sine_cosine(double x, double& s, double& c) {
  s = std::sin(x);
  c = std::cos(x);
}

template <class V>
inline V decay_argument(int mode, V z) {
  return mode == 0 ? V(abs(z)) : mode == 1 ? select(z > V(0), z, V(0)) : V(0);
}
template <class V>
inline V decay_slope(int mode, V z) {
  if (mode == 2) return V(0);
  return select(z > V(0), V(1), mode == 0 ? V(select(z < V(0), V(-1), V(0))) : V(0));
}

template <class T>
inline T effective_value(T raw, double floor, SineBound bound) {
  const T v = Softplus::f(raw, {}) + T(floor);
  return v < T(bound.low) ? T(bound.low) : v > T(bound.high) ? T(bound.high) : v;
}
template <class T>
inline T raw_slope(T raw, double floor, SineBound bound) {  // d effective / d raw
  const T v = Softplus::f(raw, {}) + T(floor);
  return v < T(bound.low) || v > T(bound.high) ? T(0) : Softplus::d(raw, {});
}

template <class T>
void prepare(const SineForwardArgs& a, T* effective) {
  const T* amplitude = static_cast<const T*>(a.raw.amplitude);
  const T* frequency = static_cast<const T*>(a.raw.frequency);
  const T* decay = static_cast<const T*>(a.raw.decay);
  const T* phase = static_cast<const T*>(a.raw.phase);
  for (int64_t i = 0; i < a.n; ++i) {
    effective[i] = effective_value(amplitude[i], 0, a.raw.amplitude_bound);
    effective[a.n + i] = effective_value(frequency[i], 1e-6, a.raw.frequency_bound);
    effective[2 * a.n + i] = effective_value(decay[i], 0, a.raw.decay_bound);
    effective[3 * a.n + i] = phase ? phase[i] : T(0);
  }
}

// One row; the last, partial vector of it goes through padded buffers.
template <class T>
void forward_row(const SineForwardArgs& a, const T* p, const T* z, T* y, T* c, int64_t n,
                 int64_t stride) {
  using P = Pack<T>;
  using V = typename P::V;
  for (int64_t i = 0; i < n; i += P::size) {
    const V v = P::get(z + i);
    V s, cosine;
    sine_cosine(P::get(p + stride + i) * v + P::get(p + 3 * stride + i), s, cosine);
    V e = P::get(p + i);
    if (a.raw.decay_mode != 2)
      e *= exp(-P::get(p + 2 * stride + i) * decay_argument(a.raw.decay_mode, v));
    P::put(y + i, e * s);
    if (c) P::put(c + i, e * cosine);
  }
}

template <class T>
void forward(Cpu& device, const SineForwardArgs& a) {
  constexpr int64_t w = Pack<T>::size;
  T* effective = static_cast<T*>(a.effective);
  prepare(a, effective);
  const int64_t whole = a.n / w * w, rest = a.n - whole;
  alignas(64) T tail_p[4 * w];
  for (int64_t k = 0; k < 4; ++k)
    for (int64_t i = 0; i < w; ++i)
      tail_p[k * w + i] = i < rest ? effective[k * a.n + whole + i] : T(0);
  parallel_for(device, a.rows, 24 * a.n, [&](int64_t row) {
    const int64_t at = row * a.n;
    const T* z = static_cast<const T*>(a.z) + at;
    T* y = static_cast<T*>(a.y) + at;
    T* c = a.c ? static_cast<T*>(a.c) + at : nullptr;
    alignas(64) T tail_z[w], tail_y[w], tail_c[w];
    for (int part = 0; part < (rest ? 2 : 1); ++part) {
      if (part == 0) {
        forward_row(a, static_cast<const T*>(effective), z, y, c, whole, a.n);
        continue;
      }
      for (int64_t i = 0; i < w; ++i) tail_z[i] = i < rest ? z[whole + i] : T(0);
      forward_row<T>(a, tail_p, tail_z, tail_y, c ? tail_c : nullptr, w, w);
      for (int64_t i = 0; i < rest; ++i) y[whole + i] = tail_y[i];
      for (int64_t i = 0; c && i < rest; ++i) c[whole + i] = tail_c[i];
    }
  });
}

// Rows [first, last) of one vector of columns; adds up the four parameter sums.
template <class T, class Io>
void backward_columns(const SineBackwardArgs& a, int64_t first, int64_t last, int64_t i, Io io,
                      T* partial, int64_t partial_stride) {
  const T* p = static_cast<const T*>(a.effective);
  const auto f = io.get(p + a.n + i), d = io.get(p + 2 * a.n + i);
  using V = decltype(io.get(p));
  V sums[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  for (int64_t row = first; row < last; ++row) {
    const int64_t at = row * a.n + i;
    const V z = io.get(static_cast<const T*>(a.z) + at),
            y = io.get(static_cast<const T*>(a.y) + at);
    const V c = io.get(static_cast<const T*>(a.c) + at),
            q = io.get(static_cast<const T*>(a.q) + at);
    const V qy = q * y, qc = q * c;
    if (a.dz)
      io.put(static_cast<T*>(a.dz) + at, f * qc - d * decay_slope(a.raw.decay_mode, z) * qy);
    sums[0] += qy;
    sums[1] += qc * z;
    sums[2] -= qy * decay_argument(a.raw.decay_mode, z);
    sums[3] += qc;
  }
  for (int64_t k = 0; partial && k < 4; ++k) io.put(partial + k * partial_stride + i, sums[k]);
}

template <class T>
void finish(Cpu& device, const SineBackwardArgs& a, int64_t chunks) {
  const T* raw[4] = {static_cast<const T*>(a.raw.amplitude), static_cast<const T*>(a.raw.frequency),
                     static_cast<const T*>(a.raw.decay), nullptr};
  const SineBound bounds[3] = {a.raw.amplitude_bound, a.raw.frequency_bound, a.raw.decay_bound};
  const T* amplitude = static_cast<const T*>(a.effective);
  const T* partial = static_cast<const T*>(a.partial);
  T* out = static_cast<T*>(a.d_raw);
  parallel_for(device, 4, chunks * a.n, [&](int64_t k) {
    for (int64_t i = 0; i < a.n; ++i) {
      T sum = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += partial[(k * chunks + chunk) * a.n + i];
      if (k == 0) sum = amplitude[i] == T(0) ? T(0) : sum / amplitude[i];
      if (k < 3) sum *= raw_slope(raw[k][i], k == 1 ? 1e-6 : 0.0, bounds[k]);
      out[k * a.n + i] = sum;
    }
  });
}

template <class T>
void backward(Cpu& device, const SineBackwardArgs& a) {
  const int64_t chunks = a.chunks;
  parallel_for(device, chunks, sine_chunk * a.n * 8, [&](int64_t chunk) {
    const int64_t first = chunk * sine_chunk;
    const int64_t last = first + sine_chunk < a.rows ? first + sine_chunk : a.rows;
    T* partial = a.d_raw ? static_cast<T*>(a.partial) + chunk * a.n : nullptr;
    for_each_vector<T>(a.n, [&](int64_t i, auto io) {
      backward_columns<T>(a, first, last, i, io, partial, chunks * a.n);
    });
  });
  if (a.d_raw) finish<T>(device, a, chunks);
}

}  // namespace

template <>
void sine_forward(Cpu& device, const SineForwardArgs& args) {
  args.z_type == DType::f64 ? forward<double>(device, args) : forward<float>(device, args);
}

template <>
void sine_backward(Cpu& device, const SineBackwardArgs& args) {
  args.z_type == DType::f64 ? backward<double>(device, args) : backward<float>(device, args);
}

}  // namespace sinew
