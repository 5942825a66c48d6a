// Elementwise functions by SIMD vectors; one piece of 4096 elements per task.
#include "ops/unary.h"

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

template <class Op, class T>
void apply(Cpu& device, const UnaryArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  const T* dy = static_cast<const T*>(a.dy);
  T* y = static_cast<T*>(a.y);
  parallel_pieces(device, a.n, 4096, 8, [&](int64_t first, int64_t count) {
    const auto map = [&](auto f) {
      for_each_vector<T>(count, [&](int64_t i, auto io) {
        i += first;
        io.put(y + i, f(io.get(x + i), i, io));
      });
    };
    if (a.order == 0)
      map([&](Vec<T> v, int64_t, auto) { return Op::f(v, a.constants); });
    else if (a.order == 1)
      map([&](Vec<T> v, int64_t i, auto io) { return io.get(dy + i) * Op::d(v, a.constants); });
    else
      map([&](Vec<T> v, int64_t i, auto io) { return io.get(dy + i) * Op::dd(v, a.constants); });
  });
}

}  // namespace

template <>
void unary(Cpu& device, const UnaryArgs& args) {
  switch (args.op) {
#define SINEW_CASE(name, Op)                                 \
  case UnaryOp::Op:                                          \
    return args.dtype == DType::f64 ? apply<Op, double>(device, args) \
                                    : apply<Op, float>(device, args);
    SINEW_UNARY(SINEW_CASE)
#undef SINEW_CASE
  }
}

}  // namespace sinew
