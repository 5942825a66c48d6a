// For *.cpu.cpp: edges of a sparse layer on batch tiles (tile.h). A plane is a tile of all
// features, (n, width); `group` vectors of a row are worked on at once, so that an edge is one
// broadcast weight and `group` multiply-adds.
#pragma once
#include "geo/tile.h"

namespace sinew {
namespace {

// Calls f(group, r): the rows r .. r + group lanes of a tile, in as many calls as it takes.
template <class T, class F>
void for_each_group(int64_t width, const F& f) {
  constexpr int64_t four = 4 * lanes<T>;
  if (width >= four)
    for (int64_t r = 0; r < width; r += four) f(std::integral_constant<int, 4>(), r);
  else
    f(std::integral_constant<int, 2>(), int64_t{0});
}

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

// Collects vectors and adds the sum of the lanes of the i-th to out[i]. A loop over edges writes up
// to `room` vectors to `next` itself, so that nothing but them goes through memory.
template <class T>
class LaneSums {
 public:
  static constexpr int64_t room = 32;
  explicit LaneSums(T* out = nullptr) : out_(out) {}
  void start(T* out) { out_ = out; }
  T* next() { return buffer_ + lanes<T> * count_; }
  void take(int64_t count) {
    count_ += count;
    if (count_ >= room) reduce();
  }
  void push(const Vec<T>& v) {
    v.store_aligned(next());
    take(1);
  }
  void flush() {
    reduce();
    if (count_ == 0) return;
    for (int64_t i = count_; i < lanes<T>; ++i) Vec<T>(T(0)).store_aligned(buffer_ + i * lanes<T>);
    const Vec<T> sums = load_tail(out_, count_) + sums_of(0);
    store_tail(out_, sums, count_);
    count_ = 0;
  }

 private:
  Vec<T> sums_of(int64_t first) const {
    Vec<T> v[lanes<T>];
    for (int64_t i = 0; i < lanes<T>; ++i)
      v[i] = Vec<T>::load_aligned(buffer_ + (first + i) * lanes<T>);
    return sums_of_lanes<T>(v);
  }
  void reduce() {
    int64_t first = 0;
    for (; first + lanes<T> <= count_; first += lanes<T>, out_ += lanes<T>)
      store(out_, load(out_) + sums_of(first));
    for (int64_t i = first; i < count_; ++i)
      Vec<T>::load_aligned(buffer_ + i * lanes<T>).store_aligned(buffer_ + (i - first) * lanes<T>);
    count_ -= first;
  }

  alignas(64) T buffer_[2 * room * lanes<T>];
  int64_t count_ = 0;
  T* out_;
};

// One collector of edges for each group of vectors of a tile's rows.
template <class T>
struct EdgeSums {
  static constexpr int64_t group_rows = 4 * lanes<T>;
  static constexpr int64_t most = group_rows < tile_width ? tile_width / group_rows : 1;
  LaneSums<T> of_group[most];
  explicit EdgeSums(T* out) {
    for (LaneSums<T>& sums : of_group) sums.start(out);
  }
  LaneSums<T>& at_row(int64_t row) { return of_group[row / group_rows]; }
  void flush() {
    for (LaneSums<T>& sums : of_group) sums.flush();
  }
};

// add_edges, and the gradients of the weights besides: to dw goes the sum over the rows of
// own plane[source[e]] for each edge. A plane's value is loaded once for both.
template <class T, int group>
inline void add_edges_and_products(const int32_t* source, const T* w, int64_t count, const T* plane,
                                   int64_t width, const Vec<T> (&own)[group], Vec<T> (&sum)[group],
                                   LaneSums<T>& dw) {
  for (int64_t first = 0; first < count; first += LaneSums<T>::room) {
    const int64_t last = first + LaneSums<T>::room < count ? first + LaneSums<T>::room : count;
    T* next = dw.next();
    for (int64_t e = first; e < last; ++e, next += lanes<T>) {
      const Vec<T> weight(w[e]);
      const T* p = plane + source[e] * width;
      Vec<T> product[2];
      for (int v = 0; v < group; ++v) {
        const Vec<T> value = load(p + v * lanes<T>);
        sum[v] = xsimd::fma(weight, value, sum[v]);
        product[v % 2] = v < 2 ? own[v] * value : xsimd::fma(own[v], value, product[v % 2]);
      }
      (product[0] + product[1]).store_aligned(next);
    }
    dw.take(last - first);
  }
}

}  // namespace
}  // namespace sinew
