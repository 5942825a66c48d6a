// Elementwise ops of one input: y = f(x), dx = dy f'(x).
// Saved: x. The backward is an op of the same family (order 1), and its own backward uses order 2;
// a third derivative is not offered by this family.
#include "ops/unary.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

Tensor apply(const char* name, UnaryOp op, int order, const Tensor& x, const Tensor& dy,
             ScalarArgs constants) {
  require_real(name, x);
  require(order <= 2, name, "third derivatives are not available");
  Tensor y(x.shape(), x.dtype());
  const UnaryArgs args{op,          order,      x.dtype(), pointer(x),
                       pointer(dy), pointer(y), x.numel(), constants};
  on(y, [=](auto& device) { unary(device, args); });

  if (op == UnaryOp::Affine || op == UnaryOp::Neg) {  // linear: to any order
    const double slope = op == UnaryOp::Neg ? -1 : constants.a;
    record(y, {x}, [=](const Tensor& g, Cotangents& dx) { dx.add(0, affine(g, slope, 0)); });
  } else if (order == 0) {
    record(y, {x}, [=](const Tensor& g, Cotangents& dx) {
      dx.add(0, apply(name, op, 1, x, g, constants));
    });
  } else {
    record(y, {x, dy}, [=](const Tensor& g, Cotangents& dx) {
      if (dx.needs(0)) dx.add(0, apply(name, op, order + 1, x, mul(g, dy), constants));
      if (dx.needs(1)) dx.add(1, apply(name, op, order, x, g, constants));
    });
  }
  return y;
}

}  // namespace

#define SINEW_DEFINE(name, Op) \
  Tensor name(const Tensor& x) { return apply(#name, UnaryOp::Op, 0, x, {}, {}); }
SINEW_UNARY_PLAIN(SINEW_DEFINE)
#undef SINEW_DEFINE

Tensor affine(const Tensor& x, double scale, double shift) {
  return apply("affine", UnaryOp::Affine, 0, x, {}, {scale, shift});
}

Tensor pow(const Tensor& x, double exponent) {
  return apply("pow", UnaryOp::Power, 0, x, {}, {exponent, 0});
}

Tensor clamp(const Tensor& x, double low, double high) {
  require(low <= high, "clamp", "low is above high");
  return apply("clamp", UnaryOp::Clamp, 0, x, {}, {low, high});
}

}  // namespace sinew
