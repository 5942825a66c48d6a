#include "gradcheck.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew::test {
namespace {

std::vector<double> uniform(int64_t n, uint32_t seed, double low, double high) {
  std::mt19937 engine(seed);
  std::vector<double> out(static_cast<size_t>(n));
  for (double& v : out) v = low + (high - low) * (engine() / 4294967296.0);
  return out;
}

// sum(f(x) * cotangent) for the cotangent of a fixed seed
Tensor scalar_of(const Function& f, const std::vector<Tensor>& x) {
  const Tensor y = f(x);
  return sum(mul(y, random(y.shape(), 977)));
}

std::vector<Tensor> gradients_of(const Function& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  std::vector<Tensor> x = inputs;
  for (Tensor& t : x) tape.watch(t);
  return tape.gradients(scalar_of(f, x), x);
}

double numeric_error(const Function& f, const std::vector<Tensor>& inputs) {
  const std::vector<Tensor> exact = gradients_of(f, inputs);
  double error = 0, scale = 1;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const std::vector<double> dx = exact[k].host<double>();
    const std::vector<double> x = inputs[k].host<double>();
    for (size_t i = 0; i < x.size(); ++i) {
      const double h = 1e-5 * std::max(1.0, std::abs(x[i]));
      double values[2];
      for (int side = 0; side < 2; ++side) {
        std::vector<Tensor> moved = inputs;
        std::vector<double> changed = x;
        changed[i] += side == 0 ? h : -h;
        moved[k] = Tensor::from(changed, inputs[k].shape());
        values[side] = scalar_of(f, moved).item<double>();
      }
      const double numeric = (values[0] - values[1]) / (2 * h);
      error = std::max(error, std::abs(numeric - dx[i]));
      if (std::isnan(numeric) || std::isnan(dx[i])) return INFINITY;
      scale = std::max(scale, std::abs(dx[i]));
    }
  }
  return error / scale;
}

}  // namespace

Tensor random(const Shape& shape, uint32_t seed, double low, double high) {
  return Tensor::from(uniform(shape.numel(), seed, low, high), shape);
}

Tensor random_f32(const Shape& shape, uint32_t seed, double low, double high) {
  return cast(random(shape, seed, low, high), DType::f32);
}

double gradient_error(const Function& f, const std::vector<Tensor>& inputs) {
  return numeric_error(f, inputs);
}

double second_order_error(const Function& f, const std::vector<Tensor>& inputs) {
  const Function gradients = [&](const std::vector<Tensor>& x) {
    Tape* outer = Tape::active();
    if (outer) {  // differentiable: x is watched already
      GradientOptions options;
      options.create_graph = true;
      const std::vector<Tensor> g = outer->gradients(scalar_of(f, x), x, options);
      std::vector<Tensor> flat;  // x too: a linear f has gradients that do not depend on it
      for (const Tensor& t : x) flat.push_back(reshape(t, {t.numel()}));
      for (const Tensor& t : g) flat.push_back(reshape(t, {t.numel()}));
      return concat(flat, 0);
    }
    std::vector<Tensor> flat;
    for (const Tensor& t : x) flat.push_back(t.view({t.numel()}));
    for (const Tensor& t : gradients_of(f, x)) flat.push_back(t.view({t.numel()}));
    return concat(flat, 0);
  };
  return numeric_error(gradients, inputs);
}

double difference(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  const std::vector<double> va = a.values(), vb = b.values();
  double error = 0, scale = 1;
  for (size_t i = 0; i < va.size(); ++i) {
    if (std::isnan(va[i]) != std::isnan(vb[i])) return INFINITY;
    if (std::isnan(va[i]) || va[i] == vb[i]) continue;
    error = std::max(error, std::abs(va[i] - vb[i]));
    scale = std::max(scale, std::abs(vb[i]));
  }
  return error / scale;
}

}  // namespace sinew::test
