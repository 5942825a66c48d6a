// y = op(a) op(b) + bias with a (m, k) and b (k, n) after the transposes.
// dy (m, n): da = dy op(b)^T, db = op(a)^T dy, both transposed back where their input was, and
// dbias = sum of dy over rows: all of them matmuls again, hence any order of derivative.
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

struct Sizes {
  int64_t m, n, k;
};

Sizes check(const Tensor& a, const Tensor& b, Trans trans_a, Trans trans_b, const Tensor& bias) {
  require_real("matmul", a);
  require_real("matmul", b);
  require_same_dtype("matmul", a, b);
  const bool ta = trans_a == Trans::yes, tb = trans_b == Trans::yes;
  const std::string shapes =
      "a " + a.shape().str() + (ta ? "^T" : "") + " x b " + b.shape().str() + (tb ? "^T" : "");
  require(a.rank() >= 2 && b.rank() == 2 && !(ta && a.rank() > 2), "matmul",
          "needs matrices, or an untransposed a with leading axes: " + shapes);
  const int64_t k = a.dim(ta ? -2 : -1), n = b.dim(tb ? 0 : 1);
  require(k == b.dim(tb ? 1 : 0), "matmul", "inner sizes differ: " + shapes);
  if (bias.defined()) {
    require_same_dtype("matmul", a, bias);
    require(bias.shape() == Shape{n}, "matmul",
            "bias is " + bias.shape().str() + ", not [" + std::to_string(n) + "]");
  }
  int64_t m = 1;
  for (int d = 0; d < a.rank(); ++d)
    if (d != a.rank() - (ta ? 2 : 1)) m *= a.shape()[d];
  return {m, n, k};
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, Trans trans_a, Trans trans_b, const Tensor& bias) {
  const auto [m, n, k] = check(a, b, trans_a, trans_b, bias);
  Tensor y(trans_a == Trans::yes ? Shape{m, n} : a.shape().with(-1, n), a.dtype());
  const MatmulTiles tiles = matmul_tiles(m, n, k);
  const Tensor partial = tiles.slices > 1 ? Tensor({tiles.slices, m, n}, a.dtype()) : Tensor();
  const MatmulArgs args{a.dtype(),
                        pointer(a),
                        pointer(b),
                        pointer(bias),
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
      dx.add(0, trans_a == Trans::yes ? matmul(b, dy, trans_b, Trans::yes)
                                      : matmul(dy, b, Trans::no, flip(trans_b)));
    if (dx.needs(1))
      dx.add(1, trans_b == Trans::yes
                    ? matmul(as_matrix(dy), as_matrix(a), Trans::yes, trans_a)
                    : matmul(as_matrix(a), as_matrix(dy), flip(trans_a), Trans::no));
    dx.add(2, dy);  // summed over rows by the tape
  });
  return y;
}

}  // namespace sinew
