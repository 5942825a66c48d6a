// Fixed-order reductions. inner == 1: four vector accumulators per piece of a row, then the pieces
// in order. inner > 1: 64 columns per task, rows added in blocks of 128.
#include "ops/reduce.h"

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

template <class T>
T sum_contiguous(const T* x, int64_t n) {
  constexpr int64_t w = lanes<T>;
  Vec<T> acc[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w)
    for (int64_t k = 0; k < 4; ++k) acc[k] += load(x + i + k * w);
  for (; i + w <= n; i += w) acc[0] += load(x + i);
  if (i < n) acc[1] += load_tail(x + i, n - i, T(0));
  return horizontal_sum<T>((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

template <class T>
void sum_rows(Cpu& device, const ReduceArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  T* partial = static_cast<T*>(a.partial);
  const int64_t pieces = a.pieces;
  if (pieces == 1)
    return parallel_for(device, a.outer, a.r,
                        [=](int64_t o) { y[o] = sum_contiguous(x + o * a.r, a.r); });
  parallel_for(device, a.outer * pieces, reduce_piece, [=](int64_t task) {
    const int64_t o = task / pieces, first = task % pieces * reduce_piece;
    partial[task] = sum_contiguous(x + o * a.r + first,
                                   a.r - first < reduce_piece ? a.r - first : reduce_piece);
  });
  parallel_for(device, a.outer, pieces,
               [=](int64_t o) { y[o] = sum_contiguous(partial + o * pieces, pieces); });
}

template <class T>
void sum_columns(Cpu& device, const ReduceArgs& a) {
  constexpr int64_t columns = 64, block = 128;
  const int64_t pieces = (a.inner + columns - 1) / columns;
  parallel_for(device, a.outer * pieces, columns * a.r, [&](int64_t task) {
    const int64_t o = task / pieces, first = task % pieces * columns;
    const int64_t n = a.inner - first < columns ? a.inner - first : columns;
    const T* x = static_cast<const T*>(a.x) + o * a.r * a.inner + first;
    T* y = static_cast<T*>(a.y) + o * a.inner + first;
    for_each_vector<T>(n, [&](int64_t i, auto io) {
      Vec<T> total(T(0));
      for (int64_t row = 0; row < a.r; row += block) {
        Vec<T> sum(T(0));
        const int64_t end = row + block < a.r ? row + block : a.r;
        for (int64_t k = row; k < end; ++k) sum += io.get(x + k * a.inner + i);
        total += sum;
      }
      io.put(y + i, total);
    });
  });
}

// Largest or smallest; NaN wins.
template <ReduceOp op, class T>
void extreme(Cpu& device, const ReduceArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  parallel_for(device, a.outer * a.inner, a.r, [=](int64_t task) {
    const T* p = x + task / a.inner * a.r * a.inner + task % a.inner;
    T best = *p;
    for (int64_t k = 1; k < a.r; ++k) {
      const T v = p[k * a.inner];
      const bool better = op == ReduceOp::max ? v > best : v < best;
      if (better || v != v) best = best != best ? best : v;
    }
    y[task] = best;
  });
}

template <class T>
void argmax_rows(Cpu& device, const ReduceArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  int32_t* y = static_cast<int32_t*>(a.y);
  parallel_for(device, a.outer, a.r, [=](int64_t o) {
    const T* p = x + o * a.r;
    int64_t best = 0;
    for (int64_t k = 1; k < a.r; ++k)
      if (p[k] > p[best]) best = k;
    y[o] = static_cast<int32_t>(best);
  });
}

template <class T>
void reduce_of(Cpu& device, const ReduceArgs& a) {
  switch (a.op) {
    case ReduceOp::sum: return a.inner == 1 ? sum_rows<T>(device, a) : sum_columns<T>(device, a);
    case ReduceOp::max: return extreme<ReduceOp::max, T>(device, a);
    case ReduceOp::min: return extreme<ReduceOp::min, T>(device, a);
    case ReduceOp::argmax: return argmax_rows<T>(device, a);
  }
}

}  // namespace

template <>
void reduce(Cpu& device, const ReduceArgs& args) {
  if (args.x_type == DType::f64)
    reduce_of<double>(device, args);
  else
    reduce_of<float>(device, args);
}

}  // namespace sinew
