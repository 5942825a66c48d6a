#include <doctest/doctest.h>

#include <memory>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

using namespace sinew;

TEST_CASE("tape: gradients of a small expression") {
  Tape tape;
  Tensor x = Tensor::from(std::vector<double>{1, 2, 3}, {3});
  Tensor y = Tensor::from(std::vector<double>{4, 5, 6}, {3});
  tape.watch(x);
  tape.watch(y);
  const Tensor z = sum(mul(square(x), y));  // dz/dx = 2 x y, dz/dy = x^2
  const auto g = tape.gradients(z, {x, y});
  CHECK(g[0].host<double>() == std::vector<double>{8, 20, 36});
  CHECK(g[1].host<double>() == std::vector<double>{1, 4, 9});
}

TEST_CASE("tape: nothing is recorded without an active tape") {
  Tensor x = Tensor::from(std::vector<float>{1}, {1});
  {
    Tape tape;
    tape.watch(x);
    CHECK(tape.size() == 1);
  }
  CHECK(Tape::active() == nullptr);
  Tape other;
  (void)square(x);
  CHECK(other.size() == 0);
}

TEST_CASE("tape: a value that does not reach y has a zero gradient") {
  Tape tape;
  Tensor x = Tensor::full({2}, 3, DType::f64), y = Tensor::full({2}, 1, DType::f64);
  tape.watch(x);
  tape.watch(y);
  const auto g = tape.gradients(sum(x), {y});
  CHECK(g[0].host<double>() == std::vector<double>{0, 0});
}

TEST_CASE("tape: third derivative through create_graph") {
  Tape tape;
  Tensor x = Tensor::full({1}, 0.7, DType::f64);
  tape.watch(x);
  GradientOptions graph;
  graph.create_graph = true;
  const Tensor y = mul(mul(x, x), mul(x, x));  // x^4
  const Tensor d1 = tape.gradients(y, {x}, graph)[0];
  const Tensor d2 = tape.gradients(d1, {x}, graph)[0];
  const Tensor d3 = tape.gradients(d2, {x})[0];
  CHECK(d3.item<double>() == doctest::Approx(24 * 0.7));
}

TEST_CASE("tape: a consumed graph, foreign tensors and wrong cotangents are errors") {
  Tape tape;
  Tensor x = Tensor::full({2}, 3, DType::f64);
  CHECK_THROWS_WITH_AS(tape.gradients(x, {x}), "tape: y was not recorded on this tape", Error);
  Tensor labels({1}, DType::i32);
  CHECK_THROWS_WITH_AS(tape.watch(labels), "tape: only an f32 or f64 tensor can be watched", Error);
  tape.watch(x);
  const Tensor y = square(x), stranger = Tensor::full({2}, 1, DType::f64);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x}),
                       "tape: y has several elements and no cotangent was given ([2])", Error);
  CHECK_THROWS_WITH_AS(tape.gradients(sum(y), {stranger}),
                       "tape: gradient asked for a tensor that is not on this tape", Error);
  GradientOptions options;
  options.cotangent = Tensor::full({3}, 1, DType::f64);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x}, options),
                       "tape: cotangent has another shape ([3] for [2])", Error);
  options.cotangent = Tensor::full({2}, 1, DType::f32);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x}, options),
                       "tape: cotangent has another dtype (f32 for f64)", Error);
  options.cotangent = Tensor::full({2}, 1, DType::f64);
  options.retain_graph = true;
  (void)tape.gradients(y, {x}, options);
  options.retain_graph = false;
  (void)tape.gradients(y, {x}, options);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x}, options),
                       "tape: the graph was consumed by an earlier call", Error);
}

TEST_CASE("tape: a closure's gradient of the wrong dtype or shape is refused") {
  Tape tape;
  Tensor x = Tensor::full({2}, 3, DType::f64);
  tape.watch(x);
  Tensor y = x.detach();
  record(y, {x}, [](const Tensor& dy, Cotangents& dx) { dx.add(0, cast(dy, DType::f32)); });
  GradientOptions options;
  options.cotangent = Tensor::full({2}, 1, DType::f64);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x}, options),
                       "tape: gradient has the wrong dtype (f32 for f64)", Error);
  Tensor z = x.detach();
  record(z, {x}, [](const Tensor&, Cotangents& dx) { dx.add(0, Tensor({3}, DType::f64)); });
  CHECK_THROWS_WITH_AS(tape.gradients(z, {x}, options),
                       "sum_to: shapes do not broadcast: [3] and [2]", Error);
}

TEST_CASE("tape: composed_gradients ends at its inputs even where they depend on each other") {
  Tape tape;
  Tensor a = Tensor::full({1}, 0.5, DType::f64);
  tape.watch(a);
  const Tensor z = square(a);  // depends on a
  Tensor y = mul(z.detach(), a.detach());
  record(y, {z, a}, [=](const Tensor& dy, Cotangents& dx) {
    Tensor dz = mul(dy, a.detach()), da = mul(dy, z.detach());
    if (Tape::active()) {
      const auto g = composed_gradients(
          [](const std::vector<Tensor>& in) { return mul(in[0], in[1]); }, {z, a}, dy);
      dz = g[0];
      da = g[1];
    }
    dx.add(0, dz);
    dx.add(1, da);
  });
  GradientOptions graph;
  graph.create_graph = true;
  const Tensor d1 = tape.gradients(y, {a}, graph)[0];  // y = a^3
  CHECK(d1.item<double>() == doctest::Approx(3 * 0.25));
  CHECK(tape.gradients(d1, {a})[0].item<double>() == doctest::Approx(6 * 0.5));
}

TEST_CASE("tape: watching twice changes nothing; tensors of an outer tape are refused") {
  Tape outer;
  Tensor w = Tensor::full({1}, 3, DType::f64);
  outer.watch(w);
  const Tensor z = square(w);
  outer.watch(w);
  CHECK(outer.gradients(z, {w})[0].item<double>() == 6);
  Tape inner;
  const std::string message = "tape: a tensor of an outer tape is used under an inner one";
  CHECK_THROWS_WITH_AS(inner.watch(w), message.c_str(), Error);
  CHECK_THROWS_WITH_AS(square(w), message.c_str(), Error);
  Tensor copy = w.detach();
  inner.watch(copy);
  CHECK(inner.gradients(square(copy), {copy})[0].item<double>() == 6);
}

TEST_CASE("tape: tapes may end in any order") {
  auto first = std::make_unique<Tape>();
  auto second = std::make_unique<Tape>();
  first.reset();
  CHECK(Tape::active() == second.get());
  second.reset();
  CHECK(Tape::active() == nullptr);
}

TEST_CASE("tape: linear ops go to any order") {
  Tape tape;
  Tensor x = Tensor::full({2}, 0.7, DType::f64);
  tape.watch(x);
  GradientOptions graph;
  graph.create_graph = true;
  const Tensor y = neg(mean(mul(mul(x, x), x)));  // -mean x^3
  const Tensor d1 = tape.gradients(y, {x}, graph)[0];
  const Tensor d2 = tape.gradients(sum(d1), {x}, graph)[0];
  CHECK(tape.gradients(sum(d2), {x})[0].host<double>()[0] == doctest::Approx(-3.0));
}
