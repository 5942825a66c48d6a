#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// Combines the elements of x that share their position along the axes that stay.
Tensor by_loops(const Tensor& x, const std::vector<int>& axes, Keep keep,
                const std::function<double(double, double)>& combine) {
  std::array<bool, Shape::max_rank> reduced{};
  for (const int a : axes) reduced[static_cast<size_t>(x.shape().axis(a))] = true;
  if (axes.empty()) reduced.fill(true);
  std::vector<int64_t> kept, dropped;
  for (int d = 0; d < x.rank(); ++d) {
    kept.push_back(reduced[static_cast<size_t>(d)] ? 1 : x.shape()[d]);
    if (!reduced[static_cast<size_t>(d)]) dropped.push_back(x.shape()[d]);
  }
  const auto v = x.values();
  std::vector<double> y(static_cast<size_t>(Shape(kept).numel()), NAN);
  for (size_t i = 0; i < v.size(); ++i) {
    size_t rest = i, at = 0, stride = 1;
    for (int d = x.rank() - 1; d >= 0; --d) {
      const auto size = static_cast<size_t>(x.shape()[d]);
      if (!reduced[static_cast<size_t>(d)]) {
        at += rest % size * stride;
        stride *= size;
      }
      rest /= size;
    }
    y[at] = std::isnan(y[at]) ? v[i] : combine(y[at], v[i]);
  }
  return Tensor::from(y, Shape(keep == Keep::dims ? kept : dropped));
}

double plus(double a, double b) { return a + b; }
double larger(double a, double b) { return std::max(a, b); }
double smaller(double a, double b) { return std::min(a, b); }

const std::vector<int> axis_lists[] = {{},     {0},    {1},    {-1},      {0, 1},   {1, 2},
                                       {0, 2}, {0, 3}, {2, 3}, {3, 1, 0}, {-1, -3}, {0, 1, 2, 3}};

}  // namespace

TEST_CASE("reduce: every choice of axes against loops") {
  const Tensor x = random({3, 2, 5, 4}, 1);
  for (const auto& axes : axis_lists)
    for (Keep keep : {Keep::drop, Keep::dims}) {
      CHECK(difference(sum(x, axes, keep), by_loops(x, axes, keep, plus)) < 2.3e-16 * 120);
      CHECK(difference(max(x, axes, keep), by_loops(x, axes, keep, larger)) == 0);
      CHECK(difference(min(x, axes, keep), by_loops(x, axes, keep, smaller)) == 0);
      const Tensor total = sum(x, axes, keep);
      const double part = static_cast<double>(total.numel()) / 120;
      CHECK(difference(mean(x, axes, keep), affine(total, part, 0)) == 0);
    }
}

TEST_CASE("reduce: f32 on all sizes and instruction sets") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t n : {1, 31, 33, 4097, 9000})
      for (int64_t m : {1, 3, 70}) {
        CAPTURE(n);
        CAPTURE(m);
        const double bound = 1.2e-7 * std::sqrt(static_cast<double>(n));
        for (const Shape& shape : {Shape{m, n}, Shape{n, m}}) {
          const int axis = shape[1] == n ? 1 : 0;
          const Tensor x = random_f32(shape, 3);
          CHECK(difference(sum(x, {axis}), by_loops(x, {axis}, Keep::drop, plus)) < bound);
          CHECK(difference(max(x, {axis}), by_loops(x, {axis}, Keep::drop, larger)) == 0);
          CHECK(difference(min(x, {axis}), by_loops(x, {axis}, Keep::drop, smaller)) == 0);
        }
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("reduce: empty tensors") {
  CHECK(sum(Tensor({0})).item<float>() == 0);
  CHECK(sum(Tensor({2, 0}), {1}).host<float>() == std::vector<float>{0, 0});
  CHECK(sum(Tensor({0, 2}), {0}).host<float>() == std::vector<float>{0, 0});
  CHECK(sum(Tensor({0, 2}), {1}).shape() == Shape{0});
  CHECK(max(Tensor({0, 2}), {1}).shape() == Shape{0});
  CHECK(sum(Tensor::scalar(3)).item<float>() == 3);
  CHECK(argmax(Tensor({0, 2})).shape() == Shape{0});
}

TEST_CASE("reduce: gradients of both orders") {
  const Tensor x = random({3, 2, 5, 4}, 1);
  for (const auto& axes : axis_lists)
    for (Keep keep : {Keep::drop, Keep::dims}) {
      const auto check = [&](auto op) {
        const Function f = [&](const std::vector<Tensor>& in) {
          return square(op(in[0], axes, keep));
        };
        CHECK(gradient_error(f, {x}) < 1e-6);
        if (axes.size() < 3 && keep == Keep::drop) CHECK(second_order_error(f, {x}) < 1e-6);
      };
      check(sum);
      check(mean);
      check(max);
      check(min);
    }
}

TEST_CASE("reduce: ties share the gradient, NaN wins") {
  const Function twice = [](const std::vector<Tensor>& in) {
    return max(concat({in[0], in[0]}, 0));
  };
  CHECK(gradient_error(twice, {random({5}, 1)}) < 1e-6);
  const Function lowest = [](const std::vector<Tensor>& in) {
    return min(concat({in[0], in[0]}, 1), {1});
  };
  CHECK(gradient_error(lowest, {random({2, 5}, 1)}) < 1e-6);
  for (size_t at = 0; at < 3; ++at) {
    std::vector<float> v{1, 2, 3};
    v[at] = NAN;
    CHECK(std::isnan(max(Tensor::from(v, {3})).item<float>()));
    CHECK(std::isnan(min(Tensor::from(v, {3})).item<float>()));
  }
}

TEST_CASE("reduce: argmax") {
  const Tensor x = Tensor::from(std::vector<float>{1, 5, 5, 2, 0, -1, -3, -1, -2}, {3, 3});
  CHECK(argmax(x).host<int32_t>() == std::vector<int32_t>{1, 0, 1});
  for (int64_t n : {1, 31, 33, 4097}) {
    const Tensor z = random_f32({2, 2, n}, 5);
    const auto v = z.host<float>();
    const auto at = argmax(z).host<int32_t>();
    CHECK(argmax(z).shape() == Shape{2, 2});
    for (size_t row = 0; row < 4; ++row) {
      const auto first = v.begin() + static_cast<int64_t>(row) * n;
      CHECK(at[row] == std::max_element(first, first + n) - first);
    }
  }
}

TEST_CASE("reduce: sum_to") {
  const Tensor x = random({4, 3, 2}, 1);
  CHECK(difference(sum_to(x, {3, 1}), sum(x, {0, 2}, Keep::dims).view({3, 1})) < 1e-15);
  CHECK(difference(sum_to(x, {}), sum(x)) < 1e-15);
  CHECK(sum_to(x, {4, 3, 2}).same_storage(x));
  const Function f = [](const std::vector<Tensor>& in) { return square(sum_to(in[0], {3, 1})); };
  CHECK(gradient_error(f, {x}) < 1e-6);
  CHECK(second_order_error(f, {x}) < 1e-6);
}

TEST_CASE("reduce: the same bits for any number of threads") {
  const int before = threads();
  const Shape shapes[] = {{100000}, {3, 50000}, {50000, 3}, {7, 300, 90}};
  for (const Shape& shape : shapes) {
    const Tensor x = random_f32(shape, 1);
    std::vector<std::vector<float>> one;
    for (int count : {1, 2, 3}) {
      set_threads(count);
      std::vector<std::vector<float>> got{sum(x).host<float>()};
      for (int axis = 0; axis < x.rank(); ++axis) {
        got.push_back(sum(x, {axis}).host<float>());
        got.push_back(max(x, {axis}).host<float>());
      }
      if (count == 1) one = got;
      CHECK(got == one);
    }
  }
  set_threads(before);
}

TEST_CASE("reduce: errors") {
  const Tensor x({2, 3});
  CHECK_THROWS_WITH_AS(sum(x, {2}), "shape: axis out of range (axis 2 of [2, 3])", Error);
  CHECK_THROWS_WITH_AS(sum(x, {1, -1}), "sum: an axis is given twice", Error);
  CHECK_THROWS_WITH_AS(sum(Tensor({2}, DType::i32)), "sum: needs f32 or f64 (i32)", Error);
  CHECK_THROWS_WITH_AS(mean(Tensor({0})), "mean: no elements [0]", Error);
  CHECK_THROWS_WITH_AS(max(Tensor({2, 0}), {1}), "max: no elements along a reduced axis [2, 0]",
                       Error);
  CHECK_THROWS_WITH_AS(min(Tensor({0})), "min: no elements along a reduced axis [0]", Error);
  CHECK_THROWS_WITH_AS(argmax(Tensor({2, 0})), "argmax: no elements to choose from [2, 0]", Error);
  CHECK_THROWS_WITH_AS(argmax(Tensor(Shape{})), "argmax: no elements to choose from []", Error);
  CHECK_THROWS_WITH_AS(sum_to(x, {2, 2}), "sum_to: shapes do not broadcast: [2, 3] and [2, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(sum_to(x, {4, 2, 3}), "sum_to: [2, 3] is not a broadcast of [4, 2, 3]",
                       Error);
}
