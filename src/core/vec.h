// For *.cpu.cpp: SIMD vectors of the level being compiled, by xsimd (whose namespace the build
// renames per level, so that no two levels share a symbol).
#pragma once
#include <cstdint>
#include <xsimd/config/xsimd_config.hpp>

// xsimd 8 has no fused multiply-add for AVX-512: x y + z is a product and a sum there, in its own
// sin, cos and exp too. Declared before its headers, these overloads are the better match.
#if XSIMD_VERSION_MAJOR == 8 && defined(__AVX512F__)
#define SINEW_XSIMD_FMA(NAME, T)                                                     \
  template <class A>                                                                 \
  batch<T, A> NAME(const batch<T, A>& x, const batch<T, A>& y, const batch<T, A>& z, \
                   const avx512f&) noexcept
namespace xsimd {
template <class T, class A>
class batch;
struct avx512f;
namespace kernel {
SINEW_XSIMD_FMA(fma, float);
SINEW_XSIMD_FMA(fma, double);
SINEW_XSIMD_FMA(fnma, float);
SINEW_XSIMD_FMA(fnma, double);
}  // namespace kernel
}  // namespace xsimd
#endif

#include <xsimd/xsimd.hpp>

#include "core/exec.h"

#ifdef SINEW_XSIMD_FMA
namespace xsimd::kernel {
SINEW_XSIMD_FMA(fma, float) { return _mm512_fmadd_ps(x, y, z); }
SINEW_XSIMD_FMA(fma, double) { return _mm512_fmadd_pd(x, y, z); }
SINEW_XSIMD_FMA(fnma, float) { return _mm512_fnmadd_ps(x, y, z); }  // z - x y
SINEW_XSIMD_FMA(fnma, double) { return _mm512_fnmadd_pd(x, y, z); }
}  // namespace xsimd::kernel
#undef SINEW_XSIMD_FMA
#endif

namespace sinew {
namespace {

template <class T>
using Vec = xsimd::batch<T>;

template <class T>
constexpr int64_t lanes = static_cast<int64_t>(Vec<T>::size);

template <class T>
inline Vec<T> load(const T* p) {
  return Vec<T>::load_unaligned(p);
}
template <class T>
inline void store(T* p, const Vec<T>& v) {
  v.store_unaligned(p);
}

// The last n < lanes elements, the rest filled with `pad`; the same arithmetic as a full vector, so
// a value never depends on its position.
template <class T>
inline Vec<T> load_tail(const T* p, int64_t n, T pad = T(1)) {
  alignas(64) T buffer[lanes<T>];
  for (int64_t i = 0; i < lanes<T>; ++i) buffer[i] = i < n ? p[i] : pad;
  return Vec<T>::load_aligned(buffer);
}
template <class T>
inline void store_tail(T* p, const Vec<T>& v, int64_t n) {
  alignas(64) T buffer[lanes<T>];
  v.store_aligned(buffer);
  for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
}

// Calls f(i, io) for each vector of 0..n; io loads and stores at i, whole or as a tail.
struct Whole {
  template <class T>
  Vec<T> get(const T* p) const {
    return load(p);
  }
  template <class T>
  void put(T* p, const Vec<T>& v) const {
    store(p, v);
  }
};
struct Tail {
  int64_t n;
  template <class T>
  Vec<T> get(const T* p) const {
    return load_tail(p, n);
  }
  template <class T>
  void put(T* p, const Vec<T>& v) const {
    store_tail(p, v, n);
  }
};
template <class T, class F>
inline void for_each_vector(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) f(i, Whole{});
  if (i < n) f(i, Tail{n - i});
}

// Sum of the lanes, pairwise from the outer halves inwards.
template <class T>
inline T horizontal_sum(const Vec<T>& v) {
  alignas(64) T buffer[lanes<T>];
  v.store_aligned(buffer);
  for (int64_t half = lanes<T> / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) buffer[i] += buffer[i + half];
  return buffer[0];
}

// Calls f(T()) with the arithmetic type of a kernel: f32 or f64.
template <class F>
inline void by_real_type(DType dtype, const F& f) {
  if (dtype == DType::f64)
    f(double());
  else
    f(float());
}

}  // namespace
}  // namespace sinew
