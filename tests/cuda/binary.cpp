// Binary ops, comparisons, where and losses on the GPU: equal shapes and broadcast ones, f32 beside
// bf16, ties and NaN.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/parity.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Op {
  const char* name;
  Tensor (*f)(const Tensor&, const Tensor&);
};
const Op arithmetic[] = {{"add", add},         {"sub", sub},         {"mul", mul}, {"div", div},
                         {"minimum", minimum}, {"maximum", maximum}, {"pow", pow}};

Parity with(const Op& op, const Shape& a, const Shape& b, Role role_of_b = Role::activation) {
  Parity p;
  p.inputs = {{a, Role::activation, 0.5, 2}, {b, role_of_b, 0.5, 2}};
  p.f = [f = op.f](const std::vector<Tensor>& in) { return f(in[0], in[1]); };
  p.roundings = 4;  // a gradient may be a product of three, and of a rounded quotient
  p.length = a.numel() + b.numel();
  return p;
}

}  // namespace

TEST_CASE("cuda: binary ops of every size") {
  for (const Op& op : arithmetic)
    for (const int64_t n : parity_sizes) check_parity(op.name, with(op, {n}, {n}));
}

TEST_CASE("cuda: binary ops broadcast, and their gradients are summed back") {
  for (const Op& op : arithmetic) {
    check_parity(op.name, with(op, {33, 5}, {5}));
    check_parity(op.name, with(op, {5}, {33, 5}));
    check_parity(op.name, with(op, {31, 1}, {1, 33}));
    check_parity(op.name, with(op, {2, 1, 3, 1, 5}, {2, 4, 1, 3, 1}));
    Parity scalar = with(op, {7, 3}, {});
    scalar.dtypes = {DType::f32};  // one sum of signed terms: what cancels there is bf16's all
    check_parity(op.name, scalar);
    check_parity(op.name, with(op, {0, 3}, {3}));
  }
}

TEST_CASE("cuda: a parameter of f32 beside activations of bf16 gives bf16, its gradient is f32") {
  for (const Op& op : arithmetic) {
    if (op.f == minimum || op.f == maximum) continue;
    check_parity(op.name, with(op, {33, 5}, {5}, Role::parameter));
    check_parity(op.name, with(op, {65, 31}, {1, 31}, Role::parameter));
  }
  const OnDevice cuda(Device::cuda);
  const Tensor x = Tensor::full({3}, 1, DType::bf16), s = Tensor::full({1}, 2);
  CHECK(mul(x, s).dtype() == DType::bf16);
  CHECK(mul(s, x).dtype() == DType::bf16);
  CHECK_THROWS_WITH_AS(minimum(x, s), "minimum: dtypes differ (bf16, f32)", Error);
  CHECK_THROWS_WITH_AS(less(x, s), "less: dtypes differ (bf16, f32)", Error);
  CHECK_THROWS_WITH_AS(where(Tensor::full({3}, 1, DType::u8), x, s),
                       "where: dtypes differ (bf16, f32)", Error);
}

TEST_CASE("cuda: comparisons, where, ties and NaN are the CPU's") {
  const std::vector<float> a{1, 2, 2, NAN, 0, -0.0f, INFINITY}, b{2, 2, 1, 1, NAN, 0, INFINITY};
  using Values = std::vector<std::vector<double>>;
  const auto all = [&](Device device) {
    const OnDevice scope(device);
    const Tensor x = Tensor::from(a, {7}), y = Tensor::from(b, {7}), is = less(x, y);
    const Tensor i = Tensor::from(std::vector<int32_t>{1, 2, 3}, {3}),
                 j = Tensor::from(std::vector<int32_t>{2, 2, 2}, {3});
    Values out{is.values(), equal(x, y).values(), less(i, j).values(), equal(i, j).values()};
    for (const Tensor& t : {where(is, x, y), where(less(x, Tensor::full({2, 1}, 1)), x, y),
                            minimum(x, y), maximum(x, y)})
      for (const double v : t.values()) out.push_back({std::isnan(v) ? 1e300 : v});
    return out;
  };
  CHECK(all(Device::cuda) == all(Device::cpu));
  Parity p;
  for (const int64_t n : parity_sizes) {
    p.inputs = {{{n}}, {{n}}};
    p.f = [](const std::vector<Tensor>& in) {
      return where(less(in[0].detach(), in[1].detach()), in[0], in[1]);
    };
    check_parity("where", p);
  }
}

TEST_CASE("cuda: pow where x^0 and 1^x are 1, whatever x") {
  const auto all = [&](Device device) {
    const OnDevice scope(device);
    const Tensor x = Tensor::from(std::vector<float>{NAN, 1, 1, 0, 0, INFINITY, 2}, {7});
    const Tensor y = Tensor::from(std::vector<float>{0, NAN, INFINITY, 0, 2, -2, 3}, {7});
    return pow(x, y).values();
  };
  CHECK(all(Device::cuda) == all(Device::cpu));
}

TEST_CASE("cuda: losses") {
  for (const int64_t n : {1, 31, 33, 4097}) {
    Parity p;
    p.inputs = {{{n}}, {{n}}};
    p.length = n;
    p.roundings = 6;  // of bf16 each of up to six ops in a row
    const auto check = [&](const char* name, auto loss) {
      p.f = [loss](const std::vector<Tensor>& in) { return loss(in[0], in[1]); };
      check_parity(name, p);
    };
    check("mse", mse);
    check("l1", l1);
    check("huber", [](const Tensor& a, const Tensor& b) { return huber(a, b, 0.4); });
    check("smooth_l1", [](const Tensor& a, const Tensor& b) { return smooth_l1(a, b, 0.4); });
  }
}
