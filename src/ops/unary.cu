// Elementwise functions of core/scalar.h: one element per thread, arithmetic in f32.
#include "ops/unary.h"

#include "cuda/kernel.h"

namespace sinew {
namespace {

template <class Op, class T, int order>
struct Apply {
  const T* x;
  const T* dy;
  T* y;
  ScalarArgs constants;
  __device__ void operator()(int64_t i) const {
    const float v = widen(x[i]);
    if (order == 0)
      y[i] = Store<T>::from(Op::f(v, constants));
    else
      y[i] =
          Store<T>::from((order == 1 ? Op::d(v, constants) : Op::dd(v, constants)) * widen(dy[i]));
  }
};

template <class Op, class T>
void apply_to(const Cuda& device, const UnaryArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  const T* dy = static_cast<const T*>(a.dy);
  T* y = static_cast<T*>(a.y);
  if (a.order == 0) return for_each(device, a.n, Apply<Op, T, 0>{x, dy, y, a.constants});
  if (a.order == 1) return for_each(device, a.n, Apply<Op, T, 1>{x, dy, y, a.constants});
  for_each(device, a.n, Apply<Op, T, 2>{x, dy, y, a.constants});
}

template <class T>
void any(const Cuda& device, const UnaryArgs& args) {
  switch (args.op) {
#define SINEW_CASE(name, Op) \
  case UnaryOp::Op: return apply_to<Op, T>(device, args);
    SINEW_UNARY(SINEW_CASE)
#undef SINEW_CASE
  }
}

}  // namespace

template <>
void unary(Cuda& device, const UnaryArgs& args) {
  by_storage_type(args.dtype, [&](auto storage) { any<decltype(storage)>(device, args); });
}

}  // namespace sinew
