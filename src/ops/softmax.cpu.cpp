// One task per row. The exponential of a row is one function: f32 by SIMD vectors, a partial vector
// through a padded buffer and the same code; f64, the type of oracles, by the C library.
// A label out of range, which a replayed step can bring unchecked, makes the loss and the row's
// gradient NaN.
#include "ops/softmax.h"

#include <cmath>

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

// The largest element; a NaN may get lost here, but not in the sum of exponentials.
template <class T>
T largest(const T* x, int64_t n) {
  constexpr int64_t w = lanes<T>;
  if (n < w) {
    T m = x[0];
    for (int64_t i = 1; i < n; ++i) m = x[i] > m ? x[i] : m;
    return m;
  }
  Vec<T> best = load(x);
  for (int64_t i = w; i < n; i += w) {  // the last vector overlaps its neighbour
    const Vec<T> v = load(x + (i + w <= n ? i : n - w));
    best = xsimd::max(best, v);
  }
  alignas(64) T buffer[w];
  best.store_aligned(buffer);
  T m = buffer[0];
  for (int64_t i = 1; i < w; ++i) m = buffer[i] > m ? buffer[i] : m;
  return m;
}

// y = exp(x - shift); returns the sum of y.
__attribute__((noinline)) float exp_row(const float* x, float shift, float* y, int64_t n) {
  constexpr int64_t w = lanes<float>;
  alignas(64) float tail[w];
  Vec<float> sum(0.0f);
  for (int64_t i = 0; i < n; i += w) {
    const bool partial = i + w > n;
    if (partial)
      for (int64_t k = 0; k < w; ++k) tail[k] = i + k < n ? x[i + k] : shift;
    const Vec<float> e = xsimd::exp(load(partial ? tail : x + i) - Vec<float>(shift));
    store(partial ? tail : y + i, e);
    if (partial)
      for (int64_t k = 0; k < w; ++k) {
        if (i + k < n) y[i + k] = tail[k];
        if (i + k >= n) tail[k] = 0;
      }
    sum += partial ? load(tail) : e;
  }
  return horizontal_sum<float>(sum);
}

double exp_row(const double* x, double shift, double* y, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - shift);
  return sum;
}

template <class T, class F>
T sum_of(int64_t n, const F& term) {  // eight partial sums, in fixed order
  T sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int64_t k = 0; k < 8; ++k) sums[k] += term(i + k);
  for (; i < n; ++i) sums[0] += term(i);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

template <class T>
void softmax_row(SoftmaxOp op, const T* in, const T* dy, T* out, int64_t n) {
  switch (op) {
    case SoftmaxOp::softmax: {
      const T s = exp_row(in, largest(in, n), out, n);
      for (int64_t i = 0; i < n; ++i) out[i] /= s;
      return;
    }
    case SoftmaxOp::log_softmax: {
      const T m = largest(in, n), log_s = std::log(exp_row(in, m, out, n));
      for (int64_t i = 0; i < n; ++i) out[i] = in[i] - m - log_s;
      return;
    }
    case SoftmaxOp::softmax_backward: {
      const T dot = sum_of<T>(n, [=](int64_t i) { return dy[i] * in[i]; });
      for (int64_t i = 0; i < n; ++i) out[i] = in[i] * (dy[i] - dot);
      return;
    }
    case SoftmaxOp::log_softmax_backward: {
      const T sum = sum_of<T>(n, [=](int64_t i) { return dy[i]; });
      exp_row(in, T(0), out, n);
      for (int64_t i = 0; i < n; ++i) out[i] = dy[i] - out[i] * sum;
      return;
    }
  }
}

template <class T>
void softmax_of(Cpu& device, const SoftmaxArgs& a) {
  parallel_for(device, a.rows, 8 * a.n, [&](int64_t row) {
    const int64_t at = row * a.n;
    softmax_row(a.op, static_cast<const T*>(a.in) + at,
                a.dy ? static_cast<const T*>(a.dy) + at : nullptr, static_cast<T*>(a.out) + at,
                a.n);
  });
}

// Row `row` of the forward, through a buffer of exponentials that no one keeps.
template <class T>
void cross_entropy_row(const CrossEntropyArgs& a, int64_t row) {
  const T* x = static_cast<const T*>(a.x) + row * a.n;
  const int32_t label = a.labels[row];
  constexpr int64_t piece = 256;
  T buffer[piece];
  const T m = largest(x, a.n);
  T s = 0;
  for (int64_t i = 0; i < a.n; i += piece)
    s += exp_row(x + i, m, buffer, a.n - i < piece ? a.n - i : piece);
  T* stats = static_cast<T*>(a.stats) + 2 * row;
  stats[0] = m;
  stats[1] = std::log(s);
  const bool inside = label >= 0 && label < a.n;
  static_cast<T*>(a.losses)[row] = inside ? stats[1] - (x[label] - m) : T(NAN);
}

template <class T>
void cross_entropy_backward_row(const CrossEntropyArgs& a, int64_t row) {
  const T* x = static_cast<const T*>(a.x) + row * a.n;
  T* dx = static_cast<T*>(a.dx) + row * a.n;
  const T* stats = static_cast<const T*>(a.stats) + 2 * row;
  const int32_t label = a.labels[row];
  const T scale = *static_cast<const T*>(a.dloss) / static_cast<T>(a.rows);
  for (int64_t i = 0; i < a.n; ++i) dx[i] = x[i] - stats[0];
  exp_row(dx, stats[1], dx, a.n);
  const bool inside = label >= 0 && label < a.n;
  if (inside) dx[label] -= T(1);
  for (int64_t i = 0; i < a.n; ++i) dx[i] *= inside ? scale : T(NAN);
}

template <class T>
void cross_entropy_of(Cpu& device, const CrossEntropyArgs& a) {
  parallel_for(device, a.rows, 8 * a.n, [&](int64_t row) {
    if (a.dx)
      cross_entropy_backward_row<T>(a, row);
    else
      cross_entropy_row<T>(a, row);
  });
}

}  // namespace

template <>
void softmax(Cpu& device, const SoftmaxArgs& args) {
  if (args.n == 0) return;
  if (args.dtype == DType::f64)
    softmax_of<double>(device, args);
  else
    softmax_of<float>(device, args);
}

template <>
void cross_entropy(Cpu& device, const CrossEntropyArgs& args) {
  if (args.dtype == DType::f64)
    cross_entropy_of<double>(device, args);
  else
    cross_entropy_of<float>(device, args);
}

}  // namespace sinew
