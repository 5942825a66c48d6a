#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

enum class Centre : uint8_t { no, yes };

// The norms by loops over rows.
Tensor by_loops(const Tensor& x, const Tensor& w, const Tensor& b, double eps, Centre centre) {
  const auto vx = x.values(), vw = w.values();
  const auto vb = b.defined() ? b.values() : std::vector<double>(vw.size(), 0.0);
  const size_t n = vw.size();
  std::vector<double> y(vx.size());
  for (size_t first = 0; first < vx.size(); first += n) {
    double mean = 0, var = 0;
    if (centre == Centre::yes)
      for (size_t i = 0; i < n; ++i) mean += vx[first + i] / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i)
      var += (vx[first + i] - mean) * (vx[first + i] - mean) / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i)
      y[first + i] = (vx[first + i] - mean) / std::sqrt(var + eps) * vw[i] + vb[i];
  }
  return Tensor::from(y, x.shape());
}

Tensor rms_of(const std::vector<Tensor>& in) { return rms_norm(in[0], in[1]); }
Tensor layer_of(const std::vector<Tensor>& in) { return layer_norm(in[0], in[1], in[2]); }

std::vector<Tensor> gradients(const Function& f, std::vector<Tensor> in, const Tensor& dy) {
  Tape tape;
  for (Tensor& t : in) tape.watch(t);
  GradientOptions options;
  options.cotangent = dy;
  return tape.gradients(f(in), in, options);
}

}  // namespace

TEST_CASE("norm: values and gradients, every instruction set") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t n : {1, 31, 33, 4097})
      for (int64_t rows : {0, 1, 3}) {
        CAPTURE(n);
        CAPTURE(rows);
        const Tensor x = random_f32({rows, n}, 1), w = random_f32({n}, 2), b = random_f32({n}, 3);
        const Tensor rms = by_loops(x, w, {}, 1e-6, Centre::no);
        const Tensor layer = by_loops(x, w, b, 1e-5, Centre::yes);
        const auto wide = [](const Tensor& t) { return cast(t, DType::f64); };
        const double bound64 = 2.3e-16 * (8 + static_cast<double>(n));
        CHECK(difference(rms_norm(wide(x), wide(w)), rms) < bound64);
        CHECK(difference(layer_norm(wide(x), wide(w), wide(b)), layer) < bound64);
        // eight roundings of an element, and sums whose vector parts are n / 8 long at most
        const double bound = 1.2e-7 * (8 + std::sqrt(static_cast<double>(n) / 8));
        CHECK(difference(rms_norm(x, w), rms) < bound);
        if (n > 1) CHECK(difference(layer_norm(x, w, b), layer) < bound);
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("norm: gradients of both orders") {
  for (int64_t n : {1, 2, 7, 19}) {
    CAPTURE(n);
    const Tensor x = random({2, 3, n}, 1), w = random({n}, 2), b = random({n}, 3);
    CHECK(gradient_error(rms_of, {x, w}) < 1e-6);
    CHECK(second_order_error(rms_of, {x, w}) < 1e-6);
    if (n == 1) continue;  // a layer norm of one element is constant
    CHECK(gradient_error(layer_of, {x, w, b}) < 1e-6);
    CHECK(second_order_error(layer_of, {x, w, b}) < 1e-6);
  }
}

TEST_CASE("norm: f32 gradients against f64, more rows than a chunk") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t rows : {0, 1, 64, 65, 200})
      for (int64_t n : {2, 31, 129}) {
        CAPTURE(rows);
        CAPTURE(n);
        const std::vector<Tensor> in{random_f32({rows, n}, 1), random_f32({n}, 2),
                                     random_f32({n}, 3)};
        const Tensor dy = random_f32({rows, n}, 4);
        std::vector<Tensor> wide;
        for (const Tensor& t : in) wide.push_back(cast(t, DType::f64));
        const auto compare = [&](const Function& f) {
          const auto narrow = gradients(f, in, dy);
          const auto exact = gradients(f, wide, cast(dy, DType::f64));
          for (size_t i = 0; i < narrow.size(); ++i)
            CHECK(difference(narrow[i], exact[i]) < 1.2e-7 * 200);  // as many addends
        };
        compare([](const std::vector<Tensor>& v) { return rms_norm(v[0], v[1]); });
        compare([](const std::vector<Tensor>& v) { return layer_norm(v[0], v[1], v[2], 0.1); });
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("norm: a large mean does not hurt the variance") {
  const Tensor x = affine(random({4, 33}, 1), 1, 1e4);
  const Tensor w = Tensor::full({33}, 1, DType::f64), b = Tensor::zeros({33}, DType::f64);
  const Tensor exact = layer_norm(cast(cast(x, DType::f32), DType::f64), w, b);
  const Tensor y = layer_norm(cast(x, DType::f32), cast(w, DType::f32), cast(b, DType::f32));
  CHECK(difference(y, exact) < 1e-3);  // the mean itself rounds to 1e4 * 6e-8
}

TEST_CASE("norm: the same bits for any number of threads") {
  const int before = threads();
  const std::vector<Tensor> in{random_f32({700, 130}, 1), random_f32({130}, 2),
                               random_f32({130}, 3)};
  const Tensor dy = random_f32({700, 130}, 4);
  std::vector<std::vector<float>> one;
  for (int count : {1, 2, 3}) {
    set_threads(count);
    std::vector<std::vector<float>> got{layer_of(in).host<float>()};
    for (const Tensor& g : gradients(layer_of, in, dy)) got.push_back(g.host<float>());
    if (count == 1) one = got;
    CHECK(got == one);
  }
  set_threads(before);
}

TEST_CASE("norm: errors") {
  const Tensor x({2, 3}), w({3});
  CHECK_THROWS_WITH_AS(rms_norm(x, Tensor({2})), "rms_norm: scale is [2] for x [2, 3]", Error);
  CHECK_THROWS_WITH_AS(layer_norm(x, Tensor({2}), w), "layer_norm: weight is [2] for x [2, 3]",
                       Error);
  CHECK_THROWS_WITH_AS(layer_norm(x, w, Tensor({1, 3})), "layer_norm: bias is [1, 3] for x [2, 3]",
                       Error);
  CHECK_THROWS_WITH_AS(layer_norm(x, w, Tensor()), "layer_norm: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(rms_norm(x, Tensor({3}, DType::f64)),
                       "rms_norm: a parameter is not f32 (f64)", Error);
  CHECK_THROWS_WITH_AS(rms_norm(Tensor({3}, DType::i32), w), "rms_norm: needs f32 or f64 (i32)",
                       Error);
  CHECK_THROWS_WITH_AS(rms_norm(Tensor(Shape{}), w), "rms_norm: no last axis to normalise: []",
                       Error);
  CHECK_THROWS_WITH_AS(rms_norm(Tensor({2, 0}), Tensor({0})),
                       "rms_norm: no last axis to normalise: [2, 0]", Error);
  CHECK_THROWS_WITH_AS(rms_norm(x, w, -1), "rms_norm: eps is negative (-1.000000)", Error);
}
