// Broadcast binary ops, where and the comparisons.
// Saved: the inputs that the derivative needs (none for add and sub). Gradients over broadcast axes
// are summed by the tape.
#include "ops/binary.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

struct Operand {
  const Tensor* t;
  int64_t* strides;
};

// Strides of each operand over the output's axes, neighbouring axes merged where all agree.
void set_layout(BinaryArgs& args, const Shape& out, std::initializer_list<Operand> operands) {
  args.rank = 1;
  args.sizes[0] = 1;
  for (const Operand& o : operands) o.strides[0] = 0;
  int64_t next[3] = {1, 1, 1};  // contiguous stride of each operand at the current axis
  int rank = 0;                 // axes so far, innermost first
  for (int d = out.rank() - 1; d >= 0; --d) {
    if (out[d] == 1) continue;
    int64_t stride[3] = {0, 0, 0};
    bool merge = rank > 0;
    size_t k = 0;
    for (const Operand& o : operands) {
      const int axis = d - (out.rank() - o.t->rank());
      const int64_t size = axis < 0 ? 1 : o.t->shape()[axis];
      stride[k] = size == 1 ? 0 : next[k];
      next[k] *= size;
      merge = merge && stride[k] == o.strides[rank - 1] * args.sizes[rank - 1];
      ++k;
    }
    if (merge) {
      args.sizes[rank - 1] *= out[d];
    } else {
      k = 0;
      for (const Operand& o : operands) o.strides[rank] = stride[k++];
      args.sizes[rank++] = out[d];
    }
  }
  if (rank == 0) return;
  args.rank = rank;
  for (int i = 0, j = rank - 1; i < j; ++i, --j) {  // outermost first
    std::swap(args.sizes[i], args.sizes[j]);
    for (const Operand& o : operands) std::swap(o.strides[i], o.strides[j]);
  }
}

Tensor run(const char* name, BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& cond) {
  Shape shape = broadcast(name, a.shape(), b.shape());
  if (cond.defined()) shape = broadcast(name, shape, cond.shape());
  const bool compares = op == BinaryOp::less || op == BinaryOp::equal;
  const DType narrow = b.dtype() == DType::bf16 ? b.dtype() : a.dtype();
  Tensor y(shape, compares ? DType::u8 : narrow);
  BinaryArgs args{op,         a.dtype(),  b.dtype(),
                  pointer(a), pointer(b), static_cast<const uint8_t*>(pointer(cond)),
                  pointer(y), 1,          {1},
                  {0},        {0},        {0}};
  if (cond.defined())
    set_layout(args, shape,
               {{&a, args.a_strides}, {&b, args.b_strides}, {&cond, args.cond_strides}});
  else
    set_layout(args, shape, {{&a, args.a_strides}, {&b, args.b_strides}});
  on(y, [=](auto& device) { binary(device, args); });
  return y;
}

Tensor arithmetic(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  require_real(name, a);
  require_real(name, b);
  const bool compares = op == BinaryOp::minimum || op == BinaryOp::maximum;  // in the backward
  if (compares || device() == Device::cpu) require_same_dtype(name, a, b);
  return run(name, op, a, b, {});
}

Tensor comparison(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  require_defined(name, a);
  require_defined(name, b);
  require_same_dtype(name, a, b);
  if (a.dtype() != DType::i32) require_real(name, a);
  return run(name, op, a, b, {});
}

// Weight of a in minimum and maximum: 1 where it is chosen, half at a tie, 0 elsewhere.
Tensor share(const Tensor& chosen, const Tensor& tied, DType dtype) {
  return add(cast(chosen, dtype), affine(cast(tied, dtype), 0.5, 0));
}

// minimum or maximum: the side that is chosen has the gradient.
Tensor extreme(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic(name, op, a, b);
  record(y, {a, b}, [a, b, op](const Tensor& dy, Cotangents& dx) {
    const Tensor tied = equal(a, b);
    const auto chosen = [&](const Tensor& t, const Tensor& other) {
      return op == BinaryOp::minimum ? less(t, other) : less(other, t);
    };
    if (dx.needs(0)) dx.add(0, mul(dy, share(chosen(a, b), tied, a.dtype())));
    if (dx.needs(1)) dx.add(1, mul(dy, share(chosen(b, a), tied, a.dtype())));
  });
  return y;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("add", BinaryOp::add, a, b);
  record(y, {a, b}, [](const Tensor& dy, Cotangents& dx) {
    dx.add(0, dy);
    dx.add(1, dy);
  });
  return y;
}

Tensor sub(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("sub", BinaryOp::sub, a, b);
  record(y, {a, b}, [](const Tensor& dy, Cotangents& dx) {
    dx.add(0, dy);
    if (dx.needs(1)) dx.add(1, neg(dy));
  });
  return y;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("mul", BinaryOp::mul, a, b);
  record(y, {a, b}, [a, b](const Tensor& dy, Cotangents& dx) {
    if (dx.needs(0)) dx.add(0, mul(dy, b));
    if (dx.needs(1)) dx.add(1, mul(dy, a));
  });
  return y;
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("div", BinaryOp::div, a, b);
  record(y, {a, b}, [a, b](const Tensor& dy, Cotangents& dx) {
    const Tensor da = div(dy, b);
    dx.add(0, da);
    if (dx.needs(1)) dx.add(1, neg(mul(da, div(a, b))));
  });
  return y;
}

Tensor pow(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("pow", BinaryOp::pow, a, b);
  record(y, {a, b}, [a, b](const Tensor& dy, Cotangents& dx) {
    if (dx.needs(0)) dx.add(0, mul(dy, mul(b, pow(a, affine(b, 1, -1)))));
    if (dx.needs(1)) dx.add(1, mul(dy, mul(pow(a, b), log(a))));
  });
  return y;
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  return extreme("minimum", BinaryOp::minimum, a, b);
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return extreme("maximum", BinaryOp::maximum, a, b);
}

Tensor less(const Tensor& a, const Tensor& b) { return comparison("less", BinaryOp::less, a, b); }

Tensor equal(const Tensor& a, const Tensor& b) {
  return comparison("equal", BinaryOp::equal, a, b);
}

Tensor where(const Tensor& cond, const Tensor& a, const Tensor& b) {
  require_defined("where", cond);
  require(cond.dtype() == DType::u8, "where",
          std::string("cond is not u8 (") + name(cond.dtype()) + ")");
  require_real("where", a);
  require_real("where", b);
  require_same_dtype("where", a, b);
  Tensor y = run("where", BinaryOp::where, a, b, cond);
  record(y, {a, b}, [cond](const Tensor& dy, Cotangents& dx) {
    const Tensor zero = Tensor::scalar(0, dy.dtype());
    if (dx.needs(0)) dx.add(0, where(cond, dy, zero));
    if (dx.needs(1)) dx.add(1, where(cond, zero, dy));
  });
  return y;
}

}  // namespace sinew
