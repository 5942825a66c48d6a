#include "sinew/parameters.h"

#include <doctest/doctest.h>

#include <cmath>

#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;

namespace {

Tensor vector(const std::vector<float>& v) {
  return Tensor::from(v, {static_cast<int64_t>(v.size())});
}

}  // namespace

TEST_CASE("parameters: one block holds the trainable values and each tensor is a slice of it") {
  Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}), b = vector({7});
  Tensor frozen = vector({8, 9});
  ParameterBlock block({{"a", &a}, {"frozen", &frozen, false}, {"b", &b}});
  CHECK(block.size() == 7);
  CHECK(block.parameters().size() == 3);
  CHECK(block.values.host<float>() == std::vector<float>{1, 2, 3, 4, 5, 6, 7});
  CHECK(block.gradients.host<float>() == std::vector<float>(7, 0.f));
  CHECK(a.shape() == Shape{2, 3});
  CHECK(a.same_storage(block.values));
  CHECK_FALSE(frozen.same_storage(block.values.view(6, {1})));
  block.values.assign(std::vector<float>{10, 20, 30, 40, 50, 60, 70});
  CHECK(a.host<float>() == std::vector<float>{10, 20, 30, 40, 50, 60});
  CHECK(b.item<float>() == 70);
  CHECK(frozen.host<float>() == std::vector<float>{8, 9});
  const ParameterBlock again({{"a", &a}, {"b", &b}});  // slices of another block are fine
  CHECK(again.values.host<float>() == block.values.host<float>());
}

TEST_CASE("parameters: backward fills the flat gradients") {
  for (DType dtype : {DType::f32, DType::f64}) {
    Tensor a = cast(vector({1, -2, 3}), dtype), unused = cast(vector({5, 5}), dtype);
    Tensor b = cast(vector({4}), dtype), frozen = cast(vector({2}), dtype);
    ParameterBlock block({{"a", &a}, {"unused", &unused}, {"b", &b}, {"frozen", &frozen, false}});
    for (int repeat = 0; repeat < 2; ++repeat) {  // fills, does not add
      Tape tape;
      block.watch(tape);
      block.backward(tape, sum(mul(mul(square(a), b), frozen)));  // 2 a b frozen; frozen a^2
    }
    CHECK(block.gradients.values() == std::vector<double>{16, -32, 48, 0, 0, 28});
    CHECK(gradient_norm(block).dtype() == dtype);
    CHECK(gradient_norm(block).value() == doctest::Approx(std::sqrt(256 + 1024 + 2304 + 784)));
  }
}

TEST_CASE("parameters: the norm has the same bits for any number of threads") {
  Tensor a({100000});
  ParameterBlock block({{"a", &a}});
  std::vector<float> g(100000);
  double exact = 0;
  for (size_t i = 0; i < g.size(); ++i) {
    g[i] = std::sin(static_cast<float>(i) * 0.37f);
    exact += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  }
  block.gradients.assign(g);
  const int before = threads();
  set_threads(1);
  const float one = gradient_norm(block).item<float>();
  set_threads(4);
  CHECK(gradient_norm(block).item<float>() == one);
  set_threads(before);
  CHECK(one == doctest::Approx(std::sqrt(exact)).epsilon(1e-6));
}

TEST_CASE("parameters: errors") {
  Tensor a = vector({1, 2}), b = vector({3}), none, alias = a;
  Tensor f64 = cast(b, DType::f64), i32 = Tensor::from(std::vector<int32_t>{1}, {1});
  const auto build = [](const std::vector<Parameter>& p) { return ParameterBlock(p); };
  CHECK_THROWS_WITH_AS(build({}), "parameters: none is trainable", Error);
  CHECK_THROWS_WITH_AS(build({{"a", &a, false}}), "parameters: none is trainable", Error);
  CHECK_THROWS_WITH_AS(build({{"a", &a}, {"a", &b}}), "parameters: 'a' is listed twice", Error);
  CHECK_THROWS_WITH_AS(build({{"n", &none}}), "parameters: 'n' is undefined", Error);
  CHECK_THROWS_WITH_AS(build({{"n", nullptr}}), "parameters: 'n' is undefined", Error);
  CHECK_THROWS_WITH_AS(build({{"a", &a}, {"c", &f64}}),
                       "parameters: 'c' has another dtype than the first (f64, f32)", Error);
  CHECK_THROWS_WITH_AS(build({{"i", &i32}}),
                       "parameters: 'i' is trainable but not f32 or f64 (i32)", Error);
  CHECK_THROWS_WITH_AS(build({{"a", &a}, {"b", &alias}}),
                       "parameters: 'b' shares its storage with 'a'", Error);
  CHECK(a.host<float>() == std::vector<float>{1, 2});  // nothing was rebound
  CHECK(a.same_storage(alias));
}
