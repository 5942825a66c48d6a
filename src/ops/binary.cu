// Broadcast binary ops: thread i computes element i of y, row-major over the merged sizes; each
// operand's place is i where strides allow, else a sum over the axes. Operands may be f32 beside
// bf16 (a parameter beside activations): both are read as f32.
#include "ops/binary.h"

#include "cuda/kernel.h"

namespace sinew {
namespace {

template <BinaryOp op>
__device__ __forceinline__ float value_of(float a, float b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    case BinaryOp::div: return a / b;
    case BinaryOp::pow: return b == 0 || a == 1 ? 1.0f : powf(a, b);
    case BinaryOp::minimum: return a != a || a < b ? a : b;  // NaN wins
    case BinaryOp::maximum: return a != a || a > b ? a : b;
    default: return 0;
  }
}

struct Places {
  int64_t a, b, cond;
};
__device__ __forceinline__ Places places(const BinaryArgs& args, int64_t i) {
  Places p{0, 0, 0};
  for (int d = args.rank - 1; d >= 0; --d) {
    const int64_t size = args.sizes[d], at = d == 0 ? i : i % size;
    if (d > 0) i /= size;
    p.a += at * args.a_strides[d];
    p.b += at * args.b_strides[d];
    p.cond += at * args.cond_strides[d];
  }
  return p;
}

template <BinaryOp op, class A, class B, class Y>
struct Arithmetic {
  BinaryArgs args;
  __device__ void operator()(int64_t i) const {
    const Places p = places(args, i);
    const float a = widen(static_cast<const A*>(args.a)[p.a]);
    const float b = widen(static_cast<const B*>(args.b)[p.b]);
    static_cast<Y*>(args.y)[i] = Store<Y>::from(value_of<op>(a, b));
  }
};

__device__ __forceinline__ int32_t widen(int32_t x) { return x; }

template <BinaryOp op, class T>
struct Compare {
  BinaryArgs args;
  __device__ void operator()(int64_t i) const {
    const Places p = places(args, i);
    const T a = static_cast<const T*>(args.a)[p.a], b = static_cast<const T*>(args.b)[p.b];
    static_cast<uint8_t*>(args.y)[i] =
        op == BinaryOp::less ? widen(a) < widen(b) : widen(a) == widen(b);
  }
};
template <class T>
struct Where {
  BinaryArgs args;
  __device__ void operator()(int64_t i) const {
    const Places p = places(args, i);
    static_cast<T*>(args.y)[i] =
        args.cond[p.cond] ? static_cast<const T*>(args.a)[p.a] : static_cast<const T*>(args.b)[p.b];
  }
};

// bf16 if either operand is.
template <class A, class B>
struct Result {
  using Type = bf16;
};
template <>
struct Result<float, float> {
  using Type = float;
};

template <BinaryOp op>
void arithmetic(const Cuda& device, const BinaryArgs& args, int64_t n) {
  by_storage_type(args.a_dtype, [&](auto a) {
    by_storage_type(args.b_dtype, [&](auto b) {
      using A = decltype(a);
      using B = decltype(b);
      for_each(device, n, Arithmetic<op, A, B, typename Result<A, B>::Type>{args});
    });
  });
}

template <BinaryOp op>
void compare(const Cuda& device, const BinaryArgs& args, int64_t n) {
  if (args.a_dtype == DType::i32) return for_each(device, n, Compare<op, int32_t>{args});
  by_storage_type(args.a_dtype,
                  [&](auto type) { for_each(device, n, Compare<op, decltype(type)>{args}); });
}

}  // namespace

template <>
void binary(Cuda& device, const BinaryArgs& args) {
  int64_t n = 1;
  for (int d = 0; d < args.rank; ++d) n *= args.sizes[d];
  switch (args.op) {
    case BinaryOp::add: return arithmetic<BinaryOp::add>(device, args, n);
    case BinaryOp::sub: return arithmetic<BinaryOp::sub>(device, args, n);
    case BinaryOp::mul: return arithmetic<BinaryOp::mul>(device, args, n);
    case BinaryOp::div: return arithmetic<BinaryOp::div>(device, args, n);
    case BinaryOp::pow: return arithmetic<BinaryOp::pow>(device, args, n);
    case BinaryOp::minimum: return arithmetic<BinaryOp::minimum>(device, args, n);
    case BinaryOp::maximum: return arithmetic<BinaryOp::maximum>(device, args, n);
    case BinaryOp::less: return compare<BinaryOp::less>(device, args, n);
    case BinaryOp::equal: return compare<BinaryOp::equal>(device, args, n);
    case BinaryOp::where:
      return by_storage_type(args.a_dtype,
                             [&](auto type) { for_each(device, n, Where<decltype(type)>{args}); });
  }
}

}  // namespace sinew
