// The sine activation on the GPU: every decay mode, bounds, phase, types of z and y, huge
// arguments.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda/any_order.h"
#include "cuda/gradient.h"
#include "cuda/parity.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Size {
  int64_t rows, n;
};
const std::vector<Size> sizes = {{0, 5},   {5, 0},    {1, 1},    {1, 31},   {3, 33},  {65, 31},
                                 {130, 3}, {2, 4097}, {4097, 1}, {4097, 3}, {700, 33}};

enum class Phase : uint8_t { none, given };

Parity with(Size s, Phase phase) {
  Parity p;
  p.inputs = {{{s.rows, s.n}, Role::activation, -3, 3}};
  for (int k = 0; k < (phase == Phase::given ? 4 : 3); ++k)
    p.inputs.push_back({{s.n}, Role::parameter});
  p.length = std::max<int64_t>(s.rows, 1);
  // A, f and d 3 each, the angle 2 of a number up to 4, sincos 2, exp 3, products 3; in a raw
  // parameter's gradient its slope and 1 / A besides. To bf16 y, c and the gradient.
  p.ulps = 26;
  p.roundings = 3;
  return p;
}
Tensor run(const std::vector<Tensor>& in, const SineOptions& options) {
  return sine(in[0], in[1], in[2], in[3], in.size() > 4 ? in[4] : Tensor(), options);
}
std::string text(const char* what, Size s) {
  return what + (" " + std::to_string(s.rows) + " x " + std::to_string(s.n));
}

SineOptions bounded(Decay decay) {
  SineOptions options;
  options.decay = decay;
  options.amplitude_bounds = {0.6, 1.0};
  options.frequency_bounds.high = 0.9;
  options.decay_bounds.low = 0.5;
  return options;
}
// z f32 in both runs, y bf16 on the GPU.
std::function<Tensor(const std::vector<Tensor>&)> narrowing(SineOptions options) {
  return [options](const std::vector<Tensor>& in) {
    SineOptions on_device = options;
    if (device() == Device::cuda) on_device.y_dtype = DType::bf16;
    return run(in, on_device);
  };
}

}  // namespace

TEST_CASE("cuda: sine at all sizes, and bf16 from f32") {
  for (const Size s : sizes) {
    Parity p = with(s, Phase::given);
    p.f = [](const std::vector<Tensor>& in) { return run(in, {}); };
    check_parity(text("sine", s), p);
    p.inputs[0].role = Role::parameter;
    p.dtypes = {DType::bf16};
    p.f = narrowing({});
    check_parity(text("sine, z f32", s), p);
  }
}

TEST_CASE("cuda: sine in every mode, with and without phase and bounds") {
  const Size s{5, 33};
  for (const Decay decay : {Decay::abs, Decay::relu, Decay::none})
    for (const Phase phase : {Phase::none, Phase::given}) {
      SineOptions unbounded;
      unbounded.decay = decay;
      for (const SineOptions& options : {unbounded, bounded(decay)}) {
        Parity p = with(s, phase);
        p.f = [&](const std::vector<Tensor>& in) { return run(in, options); };
        check_parity(text("sine", s), p);
        p.inputs[0].role = Role::parameter;
        p.dtypes = {DType::bf16};
        p.f = narrowing(options);
        check_parity(text("sine, z f32", s), p);
      }
    }
}

TEST_CASE("cuda: sine, second order") {
  const Size s{3, 5};
  for (size_t which = 0; which < 6; ++which) {
    SineOptions options;
    if (which == 5) options.decay = Decay::none;
    Parity p = with(s, Phase::given);
    p.ulps = 78;  // three times the length of the first order's chain
    const auto gradient_of = [&](auto f) {
      p.f = [=](const std::vector<Tensor>& in) { return first_gradient(f, in, which % 5); };
      check_parity(text("gradient of sine", s), p);
    };
    gradient_of([=](const std::vector<Tensor>& in) { return run(in, options); });
    p.inputs[0].role = Role::parameter;
    p.dtypes = {DType::bf16};
    gradient_of(narrowing(options));
  }
}

// Against the sine of the same f32 product: what is left is the function's own error.
TEST_CASE("cuda: sine of huge arguments is reduced exactly") {
  const OnDevice cuda(Device::cuda);
  const int64_t n = 257;
  std::vector<float> z(static_cast<size_t>(2 * n));
  for (size_t i = 0; i < z.size(); ++i)
    z[i] = (i % 2 ? 1.0f : 3e4f) * (static_cast<float>(i) - 255.5f) / 257;
  SineOptions options;
  options.decay = Decay::none;
  const Tensor raw = Tensor::full({n}, 30);  // softplus is the identity there
  const auto y = sine(Tensor::from(z, {2, n}), raw, raw, raw, {}, options).host<float>();
  const float f = 30.0f + 1e-6f;
  for (size_t i = 0; i < z.size(); ++i) {
    const float angle = f * z[i];
    CAPTURE(angle);  // up to 9e5
    CHECK(std::abs(y[i] / 30 - std::sin(static_cast<double>(angle))) <= 4 * 0x1p-24);
  }
}

TEST_CASE("cuda: the sine's gradients have the same bits for any order") {
  for (const Size s : {Size{70, 20}, Size{5000, 2}, Size{40, 100}})
    check_any_order([&] {
      std::vector<float> values(static_cast<size_t>(s.rows * s.n));
      for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
      Tape tape;
      std::vector<Tensor> in{Tensor::from(values, {s.rows, s.n})};
      for (int k = 0; k < 4; ++k) in.push_back(Tensor::full({s.n}, 0.3 + k));
      for (Tensor& t : in) tape.watch(t);
      const Tensor y = run(in, {});
      GradientOptions options;
      options.cotangent = y.detach();
      auto all = y.host<float>();
      for (const Tensor& g : tape.gradients(y, in, options))
        for (const float v : g.host<float>()) all.push_back(v);
      return all;
    });
}

TEST_CASE("cuda: types of the sine's inputs and of y") {
  const OnDevice cuda(Device::cuda);
  const Tensor z({2, 3}), narrow({2, 3}, DType::bf16), p = Tensor::zeros({3});
  SineOptions options;
  CHECK(sine(narrow, p, p, p).dtype() == DType::bf16);
  for (const DType y : {DType::f32, DType::bf16}) {
    options.y_dtype = y;
    CHECK(sine(z, p, p, p, {}, options).dtype() == y);
    CHECK(sine(narrow, p, p, p, {}, options).dtype() == y);
  }
  options.y_dtype = DType::f64;
  CHECK_THROWS_WITH_AS(sine(z, p, p, p, {}, options), "sine: y cannot be f64 for z of f32 on cuda",
                       Error);
  CHECK_THROWS_WITH_AS(sine(narrow, p, p, cast(p, DType::bf16)),
                       "sine: a parameter is not f32 (bf16)", Error);
}
