#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/step.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// log_softmax by loops over rows of n.
Tensor log_by_loops(const Tensor& x) {
  const auto v = x.values();
  const auto n = static_cast<size_t>(x.dim(-1));
  std::vector<double> y(v.size());
  for (size_t first = 0; first < v.size(); first += n) {
    double m = v[first], s = 0;
    for (size_t i = 0; i < n; ++i) m = std::max(m, v[first + i]);
    for (size_t i = 0; i < n; ++i) s += std::exp(v[first + i] - m);
    for (size_t i = 0; i < n; ++i) y[first + i] = v[first + i] - m - std::log(s);
  }
  return Tensor::from(y, x.shape());
}

Tensor some_labels(int64_t rows, int64_t classes) {
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < rows; ++i) labels.push_back(static_cast<int32_t>((5 * i + 2) % classes));
  return Tensor::from(labels, {rows});
}

double cross_entropy_by_loops(const Tensor& x, const Tensor& labels) {
  const auto logs = log_by_loops(x).values();
  const auto at = labels.host<int32_t>();
  double sum = 0;
  for (size_t i = 0; i < at.size(); ++i)
    sum -= logs[i * static_cast<size_t>(x.dim(-1)) + static_cast<size_t>(at[i])];
  return sum / static_cast<double>(at.size());
}

Tensor gradient(const Function& f, Tensor x, const Tensor& dy) {
  Tape tape;
  tape.watch(x);
  GradientOptions options;
  options.cotangent = dy;
  return tape.gradients(f({x}), {x}, options)[0];
}

const Function soft = [](const std::vector<Tensor>& in) { return softmax(in[0]); };
const Function log_soft = [](const std::vector<Tensor>& in) { return log_softmax(in[0]); };

}  // namespace

TEST_CASE("softmax: values and f32 gradients, every instruction set") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t n : {1, 31, 33, 4097}) {
      CAPTURE(n);
      const Tensor x = random_f32({3, n}, 1, -4, 4), dy = random_f32({3, n}, 2);
      const Tensor x64 = cast(x, DType::f64), dy64 = cast(dy, DType::f64);
      const Tensor logs = log_by_loops(x), labels = some_labels(3, n);
      const double bound64 = 2.3e-16 * (8 + static_cast<double>(n));
      const double bound = 1.2e-7 * (8 + std::sqrt(static_cast<double>(n)));
      CHECK(difference(log_softmax(x64), logs) < bound64);
      CHECK(difference(softmax(x64), exp(logs)) < bound64);
      CHECK(difference(log_softmax(x), logs) < bound);
      CHECK(difference(softmax(x), exp(logs)) < bound);
      CHECK(difference(gradient(soft, x, dy), gradient(soft, x64, dy64)) < bound);
      CHECK(difference(gradient(log_soft, x, dy), gradient(log_soft, x64, dy64)) < bound);
      const double loss = cross_entropy_by_loops(x, labels);
      CHECK(std::abs(cross_entropy(x64, labels).value() - loss) < bound64 * 8);
      CHECK(std::abs(cross_entropy(x, labels).value() - loss) < bound * 8);
      const Function ce = [&](const std::vector<Tensor>& in) {
        return cross_entropy(in[0], labels);
      };
      CHECK(difference(gradient(ce, x, {}), gradient(ce, x64, {})) < bound);
    }
    CHECK(softmax(Tensor({0, 5})).shape() == Shape{0, 5});
    CHECK(log_softmax(Tensor({5, 0})).shape() == Shape{5, 0});
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("softmax: gradients of both orders") {
  for (int64_t n : {1, 2, 7, 19}) {
    const Tensor x = random({2, 3, n}, 1);
    for (const Function& f : {soft, log_soft}) {
      CHECK(gradient_error(f, {x}) < 1e-6);
      CHECK(second_order_error(f, {x}) < 1e-6);
    }
    const Tensor labels = reshape(some_labels(6, n), {2, 3});
    const Function ce = [&](const std::vector<Tensor>& in) { return cross_entropy(in[0], labels); };
    CHECK(gradient_error(ce, {x}) < 1e-6);
    CHECK(second_order_error(ce, {x}) < 1e-6);
    const Function bent = [&](const std::vector<Tensor>& in) { return square(ce(in)); };
    CHECK(second_order_error(bent, {x}) < 1e-6);  // the cotangent of the loss varies too
  }
}

TEST_CASE("softmax: large and special values") {
  const Tensor x = Tensor::from(std::vector<float>{1e4f, 0, -1e4f, -INFINITY}, {1, 4});
  CHECK(softmax(x).host<float>() == std::vector<float>{1, 0, 0, 0});
  CHECK(log_softmax(x).host<float>() == std::vector<float>{0, -1e4f, -2e4f, -INFINITY});
  const Tensor two = Tensor::from(std::vector<int32_t>{2}, {1});
  CHECK(cross_entropy(x, two).item<float>() == 2e4f);
  const Tensor bad = Tensor::from(std::vector<float>{0, NAN, 1, 2, 3, 4}, {2, 3});
  const auto y = softmax(bad).host<float>();
  for (size_t i = 0; i < 3; ++i) CHECK(std::isnan(y[i]));
  for (size_t i = 3; i < 6; ++i) CHECK(!std::isnan(y[i]));
}

TEST_CASE("softmax: rows do not see each other") {
  for (int64_t n : {1, 7, 31, 33}) {
    const Tensor low = random_f32({1, n}, 1), high = affine(low, 1, 1000);
    const Tensor both = softmax(concat({low, high}, 0));
    CHECK(slice(both, 0, 0, 1).host<float>() == softmax(low).host<float>());
    CHECK(slice(both, 0, 1, 1).host<float>() == softmax(high).host<float>());
  }
}

TEST_CASE("softmax: the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_f32({900, 50}, 1), dy = random_f32({900, 50}, 2);
  const Tensor labels = some_labels(900, 50);
  const Function ce = [&](const std::vector<Tensor>& in) { return cross_entropy(in[0], labels); };
  std::vector<std::vector<float>> one;
  for (int count : {1, 2, 3}) {
    set_threads(count);
    const std::vector<std::vector<float>> got{
        gradient(soft, x, dy).host<float>(), gradient(log_soft, x, dy).host<float>(),
        cross_entropy(x, labels).host<float>(), gradient(ce, x, {}).host<float>()};
    if (count == 1) one = got;
    CHECK(got == one);
  }
  set_threads(before);
}

TEST_CASE("cross_entropy: a label that turns bad in a replayed step gives NaN") {
  Step step([](const std::vector<Tensor>& in) {
    Tape tape;
    Tensor x = in[0];
    tape.watch(x);
    const Tensor loss = cross_entropy(x, in[1]);
    return std::vector<Tensor>{loss, tape.gradients(loss, {x})[0]};
  });
  const Tensor x = Tensor::zeros({1, 2});
  const auto labels = [](int32_t v) { return Tensor::from(std::vector<int32_t>{v}, {1}); };
  for (int call = 0; call < 3; ++call)
    CHECK(step({x, labels(1)})[1].host<float>() == std::vector<float>{0.5f, -0.5f});
  const auto out = step({x, labels(2)});
  CHECK(std::isnan(out[0].item<float>()));
  CHECK(std::isnan(out[1].host<float>()[1]));
}

TEST_CASE("softmax: errors") {
  const Tensor x({2, 3});
  CHECK_THROWS_WITH_AS(softmax(Tensor(Shape{})), "softmax: x has no axis", Error);
  CHECK_THROWS_WITH_AS(log_softmax(Tensor(Shape{})), "log_softmax: x has no axis", Error);
  CHECK_THROWS_WITH_AS(softmax(Tensor({2}, DType::i32)), "softmax: needs f32 or f64 (i32)", Error);
  const auto labels = [](int32_t a, int32_t b) {
    return Tensor::from(std::vector<int32_t>{a, b}, {2});
  };
  CHECK_THROWS_WITH_AS(cross_entropy(x, labels(0, 3)),
                       "cross_entropy: label out of range (3 of 3 classes)", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(x, labels(-1, 0)),
                       "cross_entropy: label out of range (-1 of 3 classes)", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(x, Tensor({2})), "cross_entropy: labels are not i32 (f32)",
                       Error);
  CHECK_THROWS_WITH_AS(cross_entropy(x, Tensor({3}, DType::i32)),
                       "cross_entropy: labels are [3] for logits [2, 3]", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(Tensor({0, 3}), Tensor({0}, DType::i32)),
                       "cross_entropy: no rows: logits [0, 3]", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(Tensor(Shape{}), labels(0, 0)), "cross_entropy: x has no axis",
                       Error);
}
