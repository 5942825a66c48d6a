// For *.cpu.cpp: edges of a sparse layer on batch tiles (tile.h). A plane is a tile of all
// features, (n, width); `group` vectors of a row are worked on at once, so that an edge is one
// broadcast weight and `group` multiply-adds.
#pragma once
#include "geo/tile.h"

namespace sinew {
namespace {

// sum[v] += sum over e < count of w[e] plane[source[e]][v], plane given at its first row.
template <class T, int group>
inline void add_edges(const int32_t* source, const T* w, int64_t count, const T* plane,
                      int64_t width, Vec<T> (&sum)[group]) {
  for (int64_t e = 0; e < count; ++e) {
    const Vec<T> weight(w[e]);
    const T* p = plane + source[e] * width;
    for (int v = 0; v < group; ++v) sum[v] = xsimd::fma(weight, load(p + v * lanes<T>), sum[v]);
  }
}

// Collects vectors and adds the sum of the lanes of the i-th to out[i], `lanes` of them at a time.
template <class T>
class LaneSums {
 public:
  explicit LaneSums(T* out) : out_(out) {}
  void push(const Vec<T>& v) {
    v.store_aligned(buffer_ + count_ * lanes<T>);
    if (++count_ == lanes<T>) flush();
  }
  void flush() {
    Vec<T> v[lanes<T>];
    for (int64_t i = 0; i < lanes<T>; ++i)
      v[i] = i < count_ ? Vec<T>::load_aligned(buffer_ + i * lanes<T>) : Vec<T>(T(0));
    const Vec<T> sums = sums_of_lanes<T>(v);
    if (count_ == lanes<T>)
      store(out_, load(out_) + sums);
    else
      store_tail(out_, load_tail(out_, count_) + sums, count_);
    out_ += count_;
    count_ = 0;
  }

 private:
  alignas(64) T buffer_[lanes<T> * lanes<T>];
  int64_t count_ = 0;
  T* out_;
};

// dw[o, j] += sum_r dy[o][r] x[table[o, j]][r] and db[o] += sum_r dy[o][r] over the rows of a tile
// of `vectors` vectors, for outputs [first, last); db may be null.
template <class T, int vectors>
void add_weight_sums(const int32_t* table, int64_t k, int64_t first, int64_t last, const T* x,
                     const T* dy, T* dw, T* db) {
  constexpr int64_t width = vectors * lanes<T>;
  LaneSums<T> edges(dw + first * k), outputs(db ? db + first : nullptr);
  for (int64_t o = first; o < last; ++o) {
    Vec<T> d[vectors];
    for (int v = 0; v < vectors; ++v) d[v] = load(dy + o * width + v * lanes<T>);
    for (int64_t j = 0; j < k; ++j) {
      const T* p = x + table[o * k + j] * width;
      Vec<T> even = d[0] * load(p), odd = d[1] * load(p + lanes<T>);
      for (int v = 2; v < vectors; v += 2) {
        even = xsimd::fma(d[v], load(p + v * lanes<T>), even);
        odd = xsimd::fma(d[v + 1], load(p + (v + 1) * lanes<T>), odd);
      }
      edges.push(even + odd);
    }
    if (!db) continue;
    Vec<T> even = d[0], odd = d[1];
    for (int v = 2; v < vectors; v += 2) even += d[v], odd += d[v + 1];
    outputs.push(even + odd);
  }
  edges.flush();
  if (db) outputs.flush();
}

}  // namespace
}  // namespace sinew
