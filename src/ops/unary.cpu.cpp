// Elementwise functions; one piece of 4096 elements per task. f32 by SIMD vectors: the last,
// partial vector goes through a padded buffer and the same code, so that a value never depends on
// its position and each function is compiled once. f64, the type of oracles, by the C library.
#include "ops/unary.h"

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

template <class Op, int order, class V>
inline V evaluate(V x, ScalarArgs constants) {
  if constexpr (order == 0)
    return Op::f(x, constants);
  else if constexpr (order == 1)
    return Op::d(x, constants);
  else
    return Op::dd(x, constants);
}

template <class Op, int order>
void vectors(const UnaryArgs& a, int64_t first, int64_t count) {
  constexpr int64_t w = lanes<float>;
  const float* x = static_cast<const float*>(a.x) + first;
  const float* dy = static_cast<const float*>(a.dy) + (order ? first : 0);
  float* y = static_cast<float*>(a.y) + first;
  alignas(64) float tail_x[w], tail_dy[w], tail_y[w];
  const int64_t whole = count / w * w;
  for (int64_t i = 0; i < count; i += w) {
    const bool tail = i == whole;
    if (tail)
      for (int64_t k = 0; k < w; ++k) {
        tail_x[k] = i + k < count ? x[i + k] : 1.0f;
        tail_dy[k] = order && i + k < count ? dy[i + k] : 0.0f;
      }
    Vec<float> v = evaluate<Op, order>(load(tail ? tail_x : x + i), a.constants);
    if (order) v *= load(tail ? tail_dy : dy + i);
    store(tail ? tail_y : y + i, v);
    if (tail)
      for (int64_t k = 0; i + k < count; ++k) y[i + k] = tail_y[k];
  }
}

template <class Op, int order>
void doubles(const UnaryArgs& a, int64_t first, int64_t count) {
  const double* x = static_cast<const double*>(a.x);
  const double* dy = static_cast<const double*>(a.dy);
  double* y = static_cast<double*>(a.y);
  for (int64_t i = first; i < first + count; ++i)
    y[i] = evaluate<Op, order>(x[i], a.constants) * (order ? dy[i] : 1.0);
}

template <class Op>
void apply(Cpu& device, const UnaryArgs& a) {
  parallel_pieces(device, a.n, 4096, 8, [&](int64_t first, int64_t count) {
    if (a.dtype == DType::f32) {
      if (a.order == 0) return vectors<Op, 0>(a, first, count);
      if (a.order == 1) return vectors<Op, 1>(a, first, count);
      return vectors<Op, 2>(a, first, count);
    }
    if (a.order == 0) return doubles<Op, 0>(a, first, count);
    if (a.order == 1) return doubles<Op, 1>(a, first, count);
    return doubles<Op, 2>(a, first, count);
  });
}

}  // namespace

template <>
void unary(Cpu& device, const UnaryArgs& args) {
  switch (args.op) {
#define SINEW_CASE(name, Op) \
  case UnaryOp::Op: return apply<Op>(device, args);
    SINEW_UNARY(SINEW_CASE)
#undef SINEW_CASE
  }
}

}  // namespace sinew
