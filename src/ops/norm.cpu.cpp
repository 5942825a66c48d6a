// One task per row (forward) or chunk of rows (backward); a row stays in the first-level cache
// while it is read again. With h = (x - mean) r and g = dy weight:
//     dx = r (g - mean(g) - h mean(g h)),  dweight = sum dy h,  dbias = sum dy,
// where the term mean(g) is left out without centring.
#include "ops/norm.h"

#include <cmath>

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

// Sum of term(i, io) over the vectors of a row; io fills a partial vector with `pad`, for which the
// term must be 0.
template <class T>
struct Padded {
  int64_t n;
  T pad;
  Vec<T> get(const T* p) const { return load_tail(p, n, pad); }
};
template <class T, class F>
T sum_of(int64_t n, T pad, const F& term) {
  Vec<T> even(T(0)), odd(T(0));
  int64_t i = 0;
  for (; i + 2 * lanes<T> <= n; i += 2 * lanes<T>) {
    even += term(i, Whole{});
    odd += term(i + lanes<T>, Whole{});
  }
  for (; i + lanes<T> <= n; i += lanes<T>) even += term(i, Whole{});
  if (i < n) odd += term(i, Padded<T>{n - i, pad});
  return horizontal_sum<T>(even + odd);
}

template <class T>
T mean_of(const T* x, int64_t n) {
  return sum_of(n, T(0), [&](int64_t i, auto io) { return io.get(x + i); }) / static_cast<T>(n);
}

template <class T>
T variance(const T* x, int64_t n, T mean) {
  return sum_of(n, mean,
                [&](int64_t i, auto io) {
                  const Vec<T> d = io.get(x + i) - Vec<T>(mean);
                  return d * d;
                }) /
         static_cast<T>(n);
}

template <class T>
void norm_of(Cpu& device, const NormArgs& a) {
  const T* w = static_cast<const T*>(a.weight);
  const T* b = static_cast<const T*>(a.bias);
  parallel_for(device, a.rows, 4 * a.n, [&](int64_t row) {
    const T* x = static_cast<const T*>(a.x) + row * a.n;
    T* y = static_cast<T*>(a.y) + row * a.n;
    T* stats = static_cast<T*>(a.stats) + 2 * row;
    stats[0] = a.centred ? mean_of(x, a.n) : T(0);
    stats[1] = T(1) / std::sqrt(variance(x, a.n, stats[0]) + static_cast<T>(a.eps));
    const Vec<T> mean(stats[0]), r(stats[1]);
    for_each_vector<T>(a.n, [&](int64_t i, auto io) {
      Vec<T> v = (io.get(x + i) - mean) * r * io.get(w + i);
      if (b) v += io.get(b + i);
      io.put(y + i, v);
    });
  });
}

template <class T>
void backward_row(const NormBackwardArgs& a, int64_t row, T* dweight, T* dbias) {
  const T* x = static_cast<const T*>(a.x) + row * a.n;
  const T* dy = static_cast<const T*>(a.dy) + row * a.n;
  const T* w = static_cast<const T*>(a.weight);
  T* dx = static_cast<T*>(a.dx) + row * a.n;
  const T* stats = static_cast<const T*>(a.stats) + 2 * row;
  const Vec<T> mean(stats[0]), r(stats[1]);
  const T sum_g =
      sum_of(a.n, T(0), [&](int64_t i, auto io) { return io.get(dy + i) * io.get(w + i); });
  const T sum_gh = sum_of(a.n, T(0), [&](int64_t i, auto io) {
    return io.get(dy + i) * io.get(w + i) * ((io.get(x + i) - mean) * r);
  });
  const Vec<T> mean_g(a.centred ? sum_g / static_cast<T>(a.n) : T(0));
  const Vec<T> mean_gh(sum_gh / static_cast<T>(a.n));
  for_each_vector<T>(a.n, [&](int64_t i, auto io) {
    const Vec<T> h = (io.get(x + i) - mean) * r, g = io.get(dy + i);
    io.put(dx + i, r * (g * io.get(w + i) - mean_g - h * mean_gh));
    io.put(dweight + i, io.get(dweight + i) + g * h);
    io.put(dbias + i, io.get(dbias + i) + g);
  });
}

template <class T>
void norm_backward_of(Cpu& device, const NormBackwardArgs& a) {
  T* partial = static_cast<T*>(a.partial);
  T* out = static_cast<T*>(a.dparameters);
  const int64_t width = 2 * a.n, chunks = a.chunks;
  parallel_for(device, chunks, norm_chunk * a.n * 4, [&](int64_t chunk) {
    T* sums = partial + chunk * width;
    for (int64_t i = 0; i < width; ++i) sums[i] = T(0);
    const int64_t first = chunk * norm_chunk;
    const int64_t end = first + norm_chunk < a.rows ? first + norm_chunk : a.rows;
    for (int64_t row = first; row < end; ++row) backward_row(a, row, sums, sums + a.n);
  });
  parallel_pieces(device, width, 256, chunks, [=](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i) out[i] = T(0);
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
      for (int64_t i = first; i < first + count; ++i) out[i] += partial[chunk * width + i];
  });
}

}  // namespace

template <>
void norm(Cpu& device, const NormArgs& args) {
  if (args.dtype == DType::f64)
    norm_of<double>(device, args);
  else
    norm_of<float>(device, args);
}

template <>
void norm_backward(Cpu& device, const NormBackwardArgs& args) {
  if (args.dtype == DType::f64)
    norm_backward_of<double>(device, args);
  else
    norm_backward_of<float>(device, args);
}

}  // namespace sinew
