// An op of your own, outside the library: y = x + sin^2(a x) / a, the "snake" activation, with a
// learnable vector a > 0 (Ziyin, Hartwig, Ueda, NeurIPS 2020).
//
// Written with public ops alone it would be differentiable already. Here its gradient is given by
// hand: one node on the tape instead of five, and only x and a are kept for the backward pass.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "sinew/nn.h"
#include "sinew/optim.h"
#include "sinew/step.h"

using namespace sinew;

namespace {

// x (..., n), a (n).  dy/dx = 1 + sin(2 a x),  dy/da = (x sin(2 a x) - sin^2(a x) / a) / a
Tensor snake(const Tensor& x, const Tensor& a) {
  const auto wave = [](const Tensor& u, const Tensor& b) { return div(square(sin(mul(b, u))), b); };
  // detach: the tape does not see these ops, it sees the one node that `record` appends.
  Tensor y = add(x.detach(), wave(x.detach(), a.detach()));
  // If x or a is on the active tape, dL/dy comes in here in the backward pass. The closure calls
  // public ops, so with create_graph the gradient can be differentiated again.
  record(y, {x, a}, [=](const Tensor& dy, Cotangents& dx) {
    const Tensor slope = sin(affine(mul(x, a), 2, 0));
    if (dx.needs(0)) dx.add(0, mul(dy, affine(slope, 1, 1)));
    // Of the shape of x: `add` sums over the rows, along which a was broadcast.
    if (dx.needs(1)) dx.add(1, mul(dy, div(sub(mul(x, slope), wave(x, a)), a)));
  });
  return y;
}

Tensor uniform(const Shape& shape, double low, double high, NumpyGenerator& generator) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (double& v : values) v = generator.uniform(low, high);
  return Tensor::from(values, shape);
}

// Largest difference between the tape's gradient and central differences of
// L = sum(snake(x, a) c) for a random c, divided by the largest gradient.
double gradient_error() {
  NumpyGenerator generator(0);
  Tensor x = uniform({5, 3}, -2, 2, generator), a = uniform({3}, 0.5, 2, generator);
  const Tensor c = uniform({5, 3}, -1, 1, generator);
  Tape tape;
  tape.watch(x);
  tape.watch(a);
  const Tensor loss = sum(mul(snake(x, a), c));
  const std::vector<Tensor> gradients = tape.gradients(loss, {x, a});

  double error = 0, largest = 0;
  for (int input = 0; input < 2; ++input) {
    const Tensor& moved = input == 0 ? x : a;
    const std::vector<double> at = moved.host<double>(), dx = gradients[input].host<double>();
    for (size_t i = 0; i < at.size(); ++i) {
      const auto loss_at = [&](double step) {
        std::vector<double> values = at;
        values[i] += step;
        const Tensor t = Tensor::from(values, moved.shape());
        return sum(mul(input == 0 ? snake(t, a) : snake(x, t), c)).value();
      };
      const double h = 1e-5, slope = (loss_at(h) - loss_at(-h)) / (2 * h);
      error = std::max(error, std::abs(slope - dx[i]));
      largest = std::max(largest, std::abs(slope));
    }
  }
  return error / largest;
}

// Fits t = x / 2 + sin(3 x) with 1 -> 32 -> 1 features. Returns the losses of the first and the
// last step.
std::pair<double, double> train(int steps) {
  TorchGenerator generator(0);
  Linear first(1, 32, generator), last(32, 1, generator);
  Tensor a = Tensor::full({32}, 1.0);
  ParameterBlock block({{"first.weight", &first.weight},
                        {"first.bias", &first.bias},
                        {"a", &a},
                        {"last.weight", &last.weight},
                        {"last.bias", &last.bias}});
  Adam optimizer(block, {.lr = 1e-2});
  Step step([&](const std::vector<Tensor>& batch) {
    Tape tape;
    block.watch(tape);
    const Tensor loss = mse(last(snake(first(batch[0]), a)), batch[1]);
    block.backward(tape, loss);
    optimizer.step();
    return std::vector<Tensor>{loss};
  });
  std::vector<float> points(128);
  for (float& p : points) p = generator.uniform(-3, 3);
  const Tensor x = Tensor::from(points, {128, 1});
  const Tensor t = add(affine(x, 0.5, 0), sin(affine(x, 3, 0)));
  const double start = step({x, t})[0].value();
  for (int i = 2; i < steps; ++i) step({x, t});
  return {start, step({x, t})[0].value()};
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    std::fputs("custom_op takes no arguments\n", stderr);
    return 2;
  }
  const double error = gradient_error();
  std::printf("snake(x, a) = x + sin^2(a x) / a\n");
  std::printf("gradient against central differences: relative error %.1e\n", error);
  const auto [start, end] = train(500);
  std::printf("fit of x / 2 + sin(3 x), 500 steps: loss %.4f -> %.6f\n", start, end);
  return error < 1e-8 && end < 0.01 * start ? 0 : 1;
}
