#include <doctest/doctest.h>

#include <cmath>
#include <utility>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Row {
  const char* name;
  Tensor (*loss)(const Tensor&, const Tensor&);
  double (*of)(double d);  // of one difference
};
const Row rows[] = {
    {"mse", mse, [](double d) { return d * d; }},
    {"l1", l1, [](double d) { return std::abs(d); }},
    {"smooth_l1", [](const Tensor& p, const Tensor& t) { return smooth_l1(p, t); },
     [](double d) { return std::abs(d) < 1 ? d * d / 2 : std::abs(d) - 0.5; }},
    {"smooth_l1", [](const Tensor& p, const Tensor& t) { return smooth_l1(p, t, 0.7); },
     [](double d) { return std::abs(d) < 0.7 ? d * d / 1.4 : std::abs(d) - 0.35; }},
    {"smooth_l1", [](const Tensor& p, const Tensor& t) { return smooth_l1(p, t, 0); },
     [](double d) { return std::abs(d); }},
    {"huber", [](const Tensor& p, const Tensor& t) { return huber(p, t); },
     [](double d) { return std::abs(d) < 1 ? d * d / 2 : std::abs(d) - 0.5; }},
    {"huber", [](const Tensor& p, const Tensor& t) { return huber(p, t, 1.5); },
     [](double d) { return std::abs(d) < 1.5 ? d * d / 2 : 1.5 * (std::abs(d) - 0.75); }},
};

}  // namespace

TEST_CASE("loss: values against loops, f32 against f64") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t n : {1, 31, 33, 4097})
      for (const Row& row : rows) {
        CAPTURE(row.name);
        CAPTURE(n);
        const Tensor p = random_f32({n}, 1), t = random_f32({n}, 2);
        const auto vp = p.values(), vt = t.values();
        double exact = 0;
        for (size_t i = 0; i < vp.size(); ++i) exact += row.of(vp[i] - vt[i]);
        exact /= static_cast<double>(n);
        const double wide = row.loss(cast(p, DType::f64), cast(t, DType::f64)).value();
        CHECK(std::abs(wide - exact) < 2.3e-16 * static_cast<double>(n + 8) * (1 + exact));
        const double bound = 1.2e-7 * (8 + std::sqrt(static_cast<double>(n))) * (1 + exact);
        CHECK(std::abs(row.loss(p, t).value() - exact) < bound);
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("loss: gradients of both orders") {
  const Tensor p = random({3, 7}, 1), t = random({3, 7}, 2);
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Function f = [&](const std::vector<Tensor>& in) { return row.loss(in[0], in[1]); };
    CHECK(gradient_error(f, {p, t}) < 1e-6);
    CHECK(second_order_error(f, {p, t}) < 1e-6);
    const Function bent = [&](const std::vector<Tensor>& in) { return square(f(in)); };
    CHECK(second_order_error(bent, {p, t}) < 1e-6);
  }
}

TEST_CASE("loss: errors") {
  const Tensor a({2, 3}), b({3, 2}), none({0});
  const auto shapes = [&](auto loss, const std::string& name) {
    CHECK_THROWS_WITH_AS(loss(a, b), (name + ": shapes differ: [2, 3] and [3, 2]").c_str(), Error);
    CHECK_THROWS_WITH_AS(loss(none, none), (name + ": no elements [0]").c_str(), Error);
    CHECK_THROWS_WITH_AS(loss(a, Tensor({2, 3}, DType::f64)),
                         (name + ": dtypes differ (f32, f64)").c_str(), Error);
    CHECK_THROWS_WITH_AS(loss(a, Tensor()), (name + ": tensor is undefined").c_str(), Error);
  };
  for (const Row& row : rows) shapes(row.loss, row.name);
  CHECK_THROWS_WITH_AS(smooth_l1(a, a, -1), "smooth_l1: beta is negative (-1.000000)", Error);
  CHECK_THROWS_WITH_AS(huber(a, a, 0), "huber: delta is not positive (0.000000)", Error);
}
