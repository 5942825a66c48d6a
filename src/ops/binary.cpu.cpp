// Broadcast binary ops: rows along the innermost merged axis are vector loops with strides 0 or 1
// (any other stride cannot occur there, because inputs are contiguous); outer axes by odometer.
#include "ops/binary.h"

#include <cmath>

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

struct Add {
  template <class V>
  static V f(V a, V b) {
    return a + b;
  }
};
struct Sub {
  template <class V>
  static V f(V a, V b) {
    return a - b;
  }
};
struct Mul {
  template <class V>
  static V f(V a, V b) {
    return a * b;
  }
};
struct Div {
  template <class V>
  static V f(V a, V b) {
    return a / b;
  }
};
struct Pow {
  template <class V>
  static V f(V a, V b) {
    return select((b == V(0)) | (a == V(1)), V(1), pow(a, b));
  }
};
struct Minimum {  // NaN wins; xsimd's != is false for it, == is right
  template <class V>
  static V f(V a, V b) {
    return select(a == a, select(a < b, a, b), a);
  }
};
struct Maximum {
  template <class V>
  static V f(V a, V b) {
    return select(a == a, select(a > b, a, b), a);
  }
};

template <class T>
struct Row {  // one operand along the innermost axis
  const T* p;
  int64_t stride;
  template <class Io>
  Vec<T> get(int64_t i, Io io) const {
    return stride ? io.get(p + i) : Vec<T>(*p);
  }
  T at(int64_t i) const { return p[i * stride]; }
};

template <class Op, class T>
void row_of(const BinaryArgs&, Row<T> a, Row<T> b, Row<uint8_t>, void* out, int64_t at, int64_t n) {
  T* y = static_cast<T*>(out) + at;
  for_each_vector<T>(n,
                     [&](int64_t i, auto io) { io.put(y + i, Op::f(a.get(i, io), b.get(i, io))); });
}

// f64, the type of oracles, by the C library.
template <>
void row_of<Pow, double>(const BinaryArgs&, Row<double> a, Row<double> b, Row<uint8_t>, void* out,
                         int64_t at, int64_t n) {
  double* y = static_cast<double*>(out) + at;
  for (int64_t i = 0; i < n; ++i) y[i] = std::pow(a.at(i), b.at(i));
}

template <class T>
void row_of_others(const BinaryArgs& args, Row<T> a, Row<T> b, Row<uint8_t> c, void* out,
                   int64_t at, int64_t n) {
  if (args.op == BinaryOp::where) {
    T* y = static_cast<T*>(out) + at;
    for (int64_t i = 0; i < n; ++i) y[i] = c.at(i) ? a.at(i) : b.at(i);
  } else if (args.op == BinaryOp::less) {
    uint8_t* y = static_cast<uint8_t*>(out) + at;
    for (int64_t i = 0; i < n; ++i) y[i] = a.at(i) < b.at(i);
  } else {
    uint8_t* y = static_cast<uint8_t*>(out) + at;
    for (int64_t i = 0; i < n; ++i) y[i] = a.at(i) == b.at(i);
  }
}

template <class T, class F>
void rows(Cpu& device, const BinaryArgs& args, const F& row_op) {
  const int inner = args.rank - 1;
  const int64_t n = args.sizes[inner];
  int64_t count = 1;
  for (int d = 0; d < inner; ++d) count *= args.sizes[d];
  const int64_t piece = n > 4096 ? 4096 : n;  // long rows are split too
  if (n == 0) return;
  const int64_t pieces = (n + piece - 1) / piece;
  parallel_for(device, count * pieces, piece, [&](int64_t task) {
    int64_t row = task / pieces;
    const int64_t at = task % pieces * piece, y_at = row * n + at;
    int64_t ia = at * args.a_strides[inner], ib = at * args.b_strides[inner],
            ic = at * args.cond_strides[inner];
    for (int d = inner - 1; d >= 0; --d) {
      const int64_t i = row % args.sizes[d];
      row /= args.sizes[d];
      ia += i * args.a_strides[d];
      ib += i * args.b_strides[d];
      ic += i * args.cond_strides[d];
    }
    row_op(args, Row<T>{static_cast<const T*>(args.a) + ia, args.a_strides[inner]},
           Row<T>{static_cast<const T*>(args.b) + ib, args.b_strides[inner]},
           Row<uint8_t>{args.cond ? args.cond + ic : nullptr, args.cond_strides[inner]}, args.y,
           y_at, n - at < piece ? n - at : piece);
  });
}

template <class T>
void binary_of(Cpu& device, const BinaryArgs& args) {
  switch (args.op) {
    case BinaryOp::add: return rows<T>(device, args, row_of<Add, T>);
    case BinaryOp::sub: return rows<T>(device, args, row_of<Sub, T>);
    case BinaryOp::mul: return rows<T>(device, args, row_of<Mul, T>);
    case BinaryOp::div: return rows<T>(device, args, row_of<Div, T>);
    case BinaryOp::pow: return rows<T>(device, args, row_of<Pow, T>);
    case BinaryOp::minimum: return rows<T>(device, args, row_of<Minimum, T>);
    case BinaryOp::maximum: return rows<T>(device, args, row_of<Maximum, T>);
    default: return rows<T>(device, args, row_of_others<T>);
  }
}

}  // namespace

template <>
void binary(Cpu& device, const BinaryArgs& args) {
  switch (args.a_dtype) {
    case DType::f64: return binary_of<double>(device, args);
    case DType::i32: return rows<int32_t>(device, args, row_of_others<int32_t>);
    default: return binary_of<float>(device, args);
  }
}

}  // namespace sinew
