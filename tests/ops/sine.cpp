#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// Raw values of the defaults A = 1, f = 1, d = 0.1.
const double raw_one = 0.54132485461292, raw_tenth = -2.25216846104409;

Tensor with_defaults(const Tensor& z, double phase) {
  const int64_t n = z.dim(-1);
  const auto full = [&](double v) { return Tensor::full({n}, v, z.dtype()); };
  return sine(z, full(raw_one), full(raw_one), full(raw_tenth), full(phase));
}

}  // namespace

TEST_CASE("sine: golden values of the default activation") {
  const Tensor z = Tensor::from(std::vector<float>{0, 1, -2, 0.5f}, {4});
  const auto y = with_defaults(z, 0).host<float>();
  const double expected[] = {0, 0.76139492, -0.74446911, 0.45604411};
  for (size_t i = 0; i < 4; ++i) CHECK(std::abs(y[i] - expected[i]) < 1e-7);
  const auto p = with_defaults(z, 1.25).host<float>();
  // e^-0.05 sin(0.5 (1 + 1e-6) + 1.25) = 0.935996301; the published 0.93598629 has a wrong digit
  const double phased[] = {0.94898462, 0.70402920, -0.55807978, 0.93599630};
  for (size_t i = 0; i < 4; ++i) CHECK(std::abs(p[i] - phased[i]) < 1e-7);
}

TEST_CASE("sine: gradients for all decay modes, phases and bounds, fused and composed") {
  for (Decay decay : {Decay::abs, Decay::relu, Decay::none})
    for (int bounded : {0, 1}) {
      SineOptions options;
      options.decay = decay;
      if (bounded) {
        options.amplitude_bounds = {0.8, 1.2};
        options.frequency_bounds.high = 0.9;
        options.decay_bounds.low = 0.3;
      }
      const Function f = [&](const std::vector<Tensor>& in) {
        return sine(in[0], in[1], in[2], in[3], in[4], options);
      };
      const Function no_phase = [&](const std::vector<Tensor>& in) {
        return sine(in[0], in[1], in[2], in[3], {}, options);
      };
      const std::vector<Tensor> in{random({3, 2, 5}, 1, -3, 3), random({5}, 2), random({5}, 3),
                                   random({5}, 4), random({5}, 5)};
      const std::vector<Tensor> four(in.begin(), in.end() - 1);
      CHECK(gradient_error(f, in) < 1e-6);
      CHECK(gradient_error(no_phase, four) < 1e-6);
      CHECK(second_order_error(f, in) < 1e-6);
      CHECK(second_order_error(no_phase, four) < 1e-6);
    }
}

TEST_CASE("sine: f32 agrees with f64, values and gradients, for all levels and sizes") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t rows : {0, 1, 65, 130})
      for (int64_t n : {1, 31, 33, 64}) {
        std::vector<Tensor> in{random({rows, n}, 1, -3, 3), random({n}, 2), random({n}, 3),
                               random({n}, 4), random({n}, 5)};
        const Tensor q = random({rows, n}, 6);
        const auto gradients = [&](DType dtype) {
          Tape tape;
          std::vector<Tensor> x;
          for (const Tensor& t : in) x.push_back(cast(t, dtype));
          for (Tensor& t : x) tape.watch(t);
          GradientOptions options;
          options.cotangent = cast(q, dtype);
          Tensor y = sine(x[0], x[1], x[2], x[3], x[4]);
          auto g = tape.gradients(y, x, options);
          g.push_back(y);
          return g;
        };
        const auto exact = gradients(DType::f64), single = gradients(DType::f32);
        for (size_t i = 0; i < exact.size(); ++i)
          CHECK(difference(single[i], exact[i]) < 1.2e-7 * (i == 0 || i == 5 ? 8 : 32));
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("sine: the same bits for any number of threads") {
  const Tensor z = random_f32({777, 64}, 1), p = random_f32({64}, 2);
  const auto run = [&](int count) {
    set_threads(count);
    Tape tape;
    Tensor tz = z, tp = p;
    tape.watch(tz);
    tape.watch(tp);
    const auto g = tape.gradients(sum(square(sine(tz, tp, tp, tp, tp))), {tz, tp});
    auto all = g[0].host<float>();
    for (float v : g[1].host<float>()) all.push_back(v);
    return all;
  };
  const int former = threads();
  CHECK(run(1) == run(4));
  set_threads(former);
}

TEST_CASE("sine: errors") {
  const Tensor z({2, 3}), p({3});
  CHECK_THROWS_WITH_AS(sine(z, p, Tensor({2}), p), "sine: parameter [2] for 3 features", Error);
  CHECK_THROWS_WITH_AS(sine(z, p, p, {}), "sine: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(sine(z, p, p, Tensor({3}, DType::f64)), "sine: a parameter is not f32 (f64)",
                       Error);
  SineOptions narrow;
  narrow.y_dtype = DType::bf16;
  CHECK_THROWS_WITH_AS(sine(z, p, p, p, {}, narrow), "sine: y cannot be bf16 for z of f32 on cpu",
                       Error);
  CHECK_THROWS_WITH_AS(sine(Tensor(Shape{}), p, p, p), "sine: z needs a feature axis", Error);
}
