// y = op(a) op(b) + bias with a (m, k) and b (k, n) after the transposes.
// dy (m, n): da = dy op(b)^T, db = op(a)^T dy, both transposed back where their input was, and
// dbias = sum of dy over rows: all of them matmuls again, hence any order of derivative. da is of
// a's type and db of b's, so a bf16 activation gives its f32 weight a gradient that was never bf16.
// Saved: a and b.
#include "ops/matmul.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

Trans flip(Trans t) { return t == Trans::no ? Trans::yes : Trans::no; }

// Leading axes merged into one.
Tensor as_matrix(const Tensor& x) {
  if (x.rank() == 2) return x;
  int64_t rows = 1;
  for (int d = 0; d + 1 < x.rank(); ++d) rows *= x.shape()[d];
  return reshape(x, {rows, x.dim(-1)});
}

struct Plan {
  DType product, y;  // types of the operands as multiplied, and of bias and y
  int64_t m = 1, n = 0, k = 0;
};

Plan check_types(const Tensor& a, const Tensor& b, const Tensor& bias,
                 std::optional<DType> y_dtype) {
  require_real("matmul", a);
  require_real("matmul", b);
  const DType y = y_dtype.value_or(a.dtype());
  const std::string named = std::string(" (") + name(y) + ")";
  if (a.device() == Device::cpu) {
    require_same_dtype("matmul", a, b);
    require(y == a.dtype(), "matmul", std::string("on the cpu y is ") + name(a.dtype()) + named);
  } else {
    require(y == DType::f32 || y == DType::bf16, "matmul", "on cuda y is f32 or bf16" + named);
  }
  if (bias.defined())
    require(bias.dtype() == arithmetic(a.dtype()), "matmul",
            std::string("bias is ") + name(bias.dtype()) + ", not " + name(arithmetic(a.dtype())));
  const bool any = a.dtype() == DType::bf16 || b.dtype() == DType::bf16 || y == DType::bf16;
  return {any ? DType::bf16 : a.dtype(), y};
}

Plan check(const Tensor& a, const Tensor& b, Trans trans_a, Trans trans_b, const Tensor& bias,
           std::optional<DType> y_dtype) {
  Plan plan = check_types(a, b, bias, y_dtype);
  const bool ta = trans_a == Trans::yes, tb = trans_b == Trans::yes;
  const std::string shapes =
      "a " + a.shape().str() + (ta ? "^T" : "") + " x b " + b.shape().str() + (tb ? "^T" : "");
  require(a.rank() >= 2 && b.rank() == 2 && !(ta && a.rank() > 2), "matmul",
          "needs matrices, or an untransposed a with leading axes: " + shapes);
  plan.k = a.dim(ta ? -2 : -1);
  plan.n = b.dim(tb ? 0 : 1);
  require(plan.k == b.dim(tb ? 1 : 0), "matmul", "inner sizes differ: " + shapes);
  if (bias.defined())
    require(bias.shape() == Shape{plan.n}, "matmul",
            "bias is " + bias.shape().str() + ", not [" + std::to_string(plan.n) + "]");
  for (int d = 0; d < a.rank(); ++d)
    if (d != a.rank() - (ta ? 2 : 1)) plan.m *= a.shape()[d];
  return plan;
}

// As the product takes it: of that type, and on cuda at a multiple of 16 bytes, which parameters in
// a flat block and rows of a batch need not be. cuBLASLt's choice depends on it, and a recording
// must run what an eager call runs.
Tensor operand(const Tensor& x, DType dtype) {
  if (!x.defined()) return x;
  if (x.dtype() != dtype) return cast(x.detach(), dtype);
  if (device() == Device::cpu || reinterpret_cast<uintptr_t>(TensorAccess::data(x)) % 16 == 0)
    return x;
  Tensor aligned(x.shape(), dtype);
  aligned.assign(x.detach());
  return aligned;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, Trans trans_a, Trans trans_b, const Tensor& bias,
              std::optional<DType> y_dtype) {
  const auto [product, y_type, m, n, k] = check(a, b, trans_a, trans_b, bias, y_dtype);
  Tensor y(trans_a == Trans::yes ? Shape{m, n} : a.shape().with(-1, n), y_type);
  const Tensor left = operand(a, product), right = operand(b, product);
  const Tensor added = operand(bias, y_type);
  const int64_t slices = device() == Device::cpu ? matmul_tiles(m, n, k).slices : 1;
  const Tensor partial = slices > 1 ? Tensor({slices, m, n}, y_type) : Tensor();
  const MatmulArgs args{product,
                        y_type,
                        pointer(left),
                        pointer(right),
                        pointer(added),
                        pointer(y),
                        pointer(partial),
                        m,
                        n,
                        k,
                        trans_a == Trans::yes,
                        trans_b == Trans::yes};
  on(y, [=](auto& device) { matmul(device, args); });

  record(y, {a, b, bias}, [=](const Tensor& dy, Cotangents& dx) {
    if (dx.needs(0))
      dx.add(0, trans_a == Trans::yes ? matmul(b, dy, trans_b, Trans::yes, {}, a.dtype())
                                      : matmul(dy, b, Trans::no, flip(trans_b), {}, a.dtype()));
    if (dx.needs(1))
      dx.add(1, trans_b == Trans::yes
                    ? matmul(as_matrix(dy), as_matrix(a), Trans::yes, trans_a, {}, b.dtype())
                    : matmul(as_matrix(a), as_matrix(dy), flip(trans_a), Trans::no, {}, b.dtype()));
    dx.add(2, dy);  // summed over rows by the tape
  });
  return y;
}

}  // namespace sinew
