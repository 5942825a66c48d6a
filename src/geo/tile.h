// For *.cpu.cpp: batch tiles. A tile holds `width` rows of a row-major (rows, n) matrix with the
// batch innermost: tile[i * width + r] = x[r][i], so that a sparse layer works on whole vectors of
// rows. Rows beyond the last are zero. Transposes go through blocks of lanes x lanes.
#pragma once
#include <utility>

#include "core/vec.h"

namespace sinew {
namespace {

constexpr int64_t tile_width = 64;  // rows of a tile

template <class V, size_t... I>
inline V interleave_low(V a, V b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * sizeof...(I))...);
}
template <class V, size_t... I>
inline V interleave_high(V a, V b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, ((I + sizeof...(I)) / 2 + (I % 2) * sizeof...(I))...);
}

// Lanes x lanes transpose: log2(lanes) perfect shuffles of the rows.
template <class T>
inline void transpose(Vec<T> (&v)[lanes<T>]) {
  constexpr int64_t w = lanes<T>;
  constexpr auto order = std::make_index_sequence<static_cast<size_t>(w)>();
  using R = typename Vec<T>::register_type;
  for (int64_t stage = 1; stage < w; stage *= 2) {
    Vec<T> next[w];
    for (int64_t i = 0; i < w / 2; ++i) {
      const R a = v[i], b = v[i + w / 2];
      next[2 * i] = Vec<T>(interleave_low(a, b, order));
      next[2 * i + 1] = Vec<T>(interleave_high(a, b, order));
    }
    for (int64_t i = 0; i < w; ++i) v[i] = next[i];
  }
}

// Sums of the lanes of `lanes` vectors at once: out[i] = sum of v[i]. Each stage interleaves two
// vectors and adds the halves.
template <class T>
inline Vec<T> sums_of_lanes(Vec<T> (&v)[lanes<T>]) {
  constexpr auto order = std::make_index_sequence<static_cast<size_t>(lanes<T>)>();
  using R = typename Vec<T>::register_type;
  for (int64_t half = lanes<T> / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) {
      const R a = v[i], b = v[i + half];
      v[i] = Vec<T>(interleave_low(a, b, order)) + Vec<T>(interleave_high(a, b, order));
    }
  return v[0];
}

// tile[i * stride + r] = x[r * n + first + i] for i < columns and r < width, a multiple of lanes;
// zero where r >= rows.
template <class T>
inline void load_tile(const T* x, int64_t n, int64_t rows, int64_t first, int64_t columns,
                      int64_t width, T* tile, int64_t stride) {
  constexpr int64_t w = lanes<T>;
  for (int64_t r = 0; r < width; r += w)
    for (int64_t i = 0; i < columns; i += w) {
      const int64_t count = columns - i < w ? columns - i : w;
      Vec<T> v[w];
      for (int64_t k = 0; k < w; ++k) {
        const T* p = x + (r + k) * n + first + i;
        v[k] = r + k >= rows ? Vec<T>(T(0)) : count == w ? load(p) : load_tail(p, count, T(0));
      }
      transpose<T>(v);
      for (int64_t k = 0; k < count; ++k) store(tile + (i + k) * stride + r, v[k]);
    }
}

// The inverse: y[r * n + first + i] = tile[i * stride + r] for i < columns and r < rows.
template <class T>
inline void store_tile(const T* tile, int64_t stride, int64_t rows, T* y, int64_t n, int64_t first,
                       int64_t columns) {
  constexpr int64_t w = lanes<T>;
  for (int64_t r = 0; r < rows; r += w)
    for (int64_t i = 0; i < columns; i += w) {
      const int64_t count = columns - i < w ? columns - i : w;
      Vec<T> v[w];
      for (int64_t k = 0; k < w; ++k)
        v[k] = k < count ? load(tile + (i + k) * stride + r) : Vec<T>(T(0));
      transpose<T>(v);
      for (int64_t k = 0; k < w && r + k < rows; ++k) {
        T* p = y + (r + k) * n + first + i;
        if (count == w)
          store(p, v[k]);
        else
          store_tail(p, v[k], count);
      }
    }
}

}  // namespace
}  // namespace sinew
