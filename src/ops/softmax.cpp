// softmax, log_softmax and cross entropy over the last axis, shifted by the row's maximum.
// softmax: dx = y (dy - sum(dy y)); log_softmax: dx = dy - exp(y) sum(dy); saved: y (x too, for
// higher orders). cross_entropy: loss = mean_row(ln s - (x[label] - m)), dx = (softmax - onehot)
// dloss / rows in one pass; saved: x, labels, and m and ln s of each row. Its gradient is an op
// of its own, so that every order is there.
#include "ops/softmax.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

Tensor run(SoftmaxOp op, const Tensor& in, const Tensor& dy) {
  Tensor out(in.shape(), in.dtype());
  const int64_t n = in.dim(-1);
  const SoftmaxArgs args{
      op, in.dtype(), pointer(in), pointer(dy), pointer(out), n == 0 ? 0 : in.numel() / n, n};
  on(out, [=](auto& device) { softmax(device, args); });
  return out;
}

void check(const char* op, const Tensor& x) {
  require_real(op, x);
  require(x.rank() >= 1, op, "x has no axis");
}

Tensor sum_last(const Tensor& x) { return sum(x, {-1}, Keep::dims); }

// dL/dlogits of cross_entropy at dloss (a scalar): linear in dloss.
Tensor cross_entropy_gradient(const Tensor& logits, const Tensor& labels, const Tensor& stats,
                              const Tensor& dloss) {
  Tensor y(logits.shape(), logits.dtype());
  const int64_t rows = labels.numel();
  const CrossEntropyArgs args{logits.dtype(),
                              pointer(logits),
                              static_cast<const int32_t*>(pointer(labels)),
                              nullptr,
                              pointer(stats),
                              pointer(dloss),
                              pointer(y),
                              rows,
                              logits.dim(-1)};
  on(y, [=](auto& device) { cross_entropy(device, args); });
  record(y, {logits, dloss}, [=](const Tensor& g, Cotangents& dx) {
    if (dx.needs(0)) {
      const Tensor p = softmax(logits), gp = mul(g, p);
      const Tensor scale = affine(dloss, 1.0 / static_cast<double>(rows), 0);
      dx.add(0, mul(sub(gp, mul(p, sum_last(gp))), scale));
    }
    if (dx.needs(1)) {
      const Tensor one = Tensor::scalar(1, dloss.dtype());
      dx.add(1, sum(mul(g, cross_entropy_gradient(logits, labels, stats, one))));
    }
  });
  return y;
}

void check_labels(const Tensor& logits, const Tensor& labels) {
  require_defined("cross_entropy", labels);
  require(labels.dtype() == DType::i32, "cross_entropy",
          std::string("labels are not i32 (") + name(labels.dtype()) + ")");
  require(labels.shape() == logits.shape().without(-1), "cross_entropy",
          "labels are " + labels.shape().str() + " for logits " + logits.shape().str());
  require(labels.numel() > 0, "cross_entropy", "no rows: logits " + logits.shape().str());
  if (context().recorder) return;  // the kernel makes NaN of what could not be checked
  const int64_t classes = logits.dim(-1);
  for (int32_t label : labels.host<int32_t>())
    require(label >= 0 && label < classes, "cross_entropy",
            "label out of range (" + std::to_string(label) + " of " + std::to_string(classes) +
                " classes)");
}

}  // namespace

Tensor softmax(const Tensor& x) {
  check("softmax", x);
  Tensor y = run(SoftmaxOp::softmax, x, {});
  record(y, {x}, [x, y](const Tensor& dy, Cotangents& dx) {
    if (!Tape::active()) return dx.add(0, run(SoftmaxOp::softmax_backward, y, dy));
    const Tensor p = softmax(x), dp = mul(dy, p);
    dx.add(0, sub(dp, mul(p, sum_last(dp))));
  });
  return y;
}

Tensor log_softmax(const Tensor& x) {
  check("log_softmax", x);
  Tensor y = run(SoftmaxOp::log_softmax, x, {});
  record(y, {x}, [x, y](const Tensor& dy, Cotangents& dx) {
    if (!Tape::active()) return dx.add(0, run(SoftmaxOp::log_softmax_backward, y, dy));
    dx.add(0, sub(dy, mul(softmax(x), sum_last(dy))));
  });
  return y;
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  check("cross_entropy", logits);
  check_labels(logits, labels);
  const int64_t rows = labels.numel();
  const DType sums = arithmetic(logits.dtype());
  const Tensor losses({rows}, sums), stats({rows, 2}, sums);
  const CrossEntropyArgs args{logits.dtype(),
                              pointer(logits),
                              static_cast<const int32_t*>(pointer(labels)),
                              pointer(losses),
                              pointer(stats),
                              nullptr,
                              nullptr,
                              rows,
                              logits.dim(-1)};
  on(losses, [=](auto& device) { cross_entropy(device, args); });
  Tensor y = mean(losses);
  record(y, {logits}, [=](const Tensor& dy, Cotangents& dx) {
    dx.add(0, cross_entropy_gradient(logits, labels, stats, dy));
  });
  return y;
}

}  // namespace sinew
