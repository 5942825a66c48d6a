// Losses: means over all elements of a function of d = prediction - target.
// mse: d^2; its backward is written out, dp = 2 d dloss / n, for fewer passes. l1: |d|.
// huber: with m = min(|d|, delta), m (|d| - m / 2) is d^2 / 2 inside and delta (|d| - delta / 2)
// outside. smooth_l1: huber / beta; |d| for beta = 0. Saved by mse: prediction and target.
#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

void check(const char* op, const Tensor& p, const Tensor& t) {
  require_real(op, p);
  require_real(op, t);
  require_same_dtype(op, p, t);
  require(p.shape() == t.shape(), op,
          "shapes differ: " + p.shape().str() + " and " + t.shape().str());
  require(p.numel() > 0, op, "no elements " + p.shape().str());
}

Tensor capped(const Tensor& p, const Tensor& t, double cap) {
  const Tensor size = abs(sub(p, t)), m = clamp(size, 0, cap);
  return mean(mul(m, sub(size, affine(m, 0.5, 0))));
}

}  // namespace

Tensor mse(const Tensor& prediction, const Tensor& target) {
  check("mse", prediction, target);
  Tensor y = mean(square(sub(prediction.detach(), target.detach())));
  record(y, {prediction, target}, [prediction, target](const Tensor& dy, Cotangents& dx) {
    const double scale = 2.0 / static_cast<double>(prediction.numel());
    const Tensor d = mul(sub(prediction, target), affine(dy, scale, 0));
    dx.add(0, d);
    if (dx.needs(1)) dx.add(1, neg(d));
  });
  return y;
}

Tensor l1(const Tensor& prediction, const Tensor& target) {
  check("l1", prediction, target);
  return mean(abs(sub(prediction, target)));
}

Tensor smooth_l1(const Tensor& prediction, const Tensor& target, double beta) {
  check("smooth_l1", prediction, target);
  require(beta >= 0, "smooth_l1", "beta is negative (" + std::to_string(beta) + ")");
  if (beta == 0) return l1(prediction, target);
  return affine(capped(prediction, target, beta), 1 / beta, 0);
}

Tensor huber(const Tensor& prediction, const Tensor& target, double delta) {
  check("huber", prediction, target);
  require(delta > 0, "huber", "delta is not positive (" + std::to_string(delta) + ")");
  return capped(prediction, target, delta);
}

}  // namespace sinew
