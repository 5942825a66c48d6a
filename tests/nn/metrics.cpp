#include "sinew/metrics.h"

#include <doctest/doctest.h>

#include <cmath>

#include "sinew/error.h"

using namespace sinew;
using Doubles = std::vector<double>;
using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

namespace {

Tensor column(const Floats& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size()), 1});
}

std::vector<int64_t> counts(const ClassMetrics& m) {
  std::vector<int64_t> out;
  for (const auto& row : m.confusion) out.insert(out.end(), row.begin(), row.end());
  return out;
}

}  // namespace

TEST_CASE("metrics: regression by hand") {
  // Errors 0, 1, -1, 2; the target has mean 2.5 and sum of squares 5 around it.
  const auto m = regression_metrics(column({1, 3, 2, 6}), column({1, 2, 3, 4}));
  CHECK(m.mse == 1.5);
  CHECK(m.rmse == std::sqrt(1.5));
  CHECK(m.mae == 1);
  CHECK(m.smape == doctest::Approx((2 / 5.0 + 2 / 5.0 + 4 / 10.0) / 4).epsilon(1e-8));
  CHECK(m.r2 == doctest::Approx(1 - 6 / 5.0).epsilon(1e-15));
  const auto exact = regression_metrics(column({0, 2}), column({0, 2}));
  CHECK(exact.mse == 0);
  CHECK(exact.smape == 0);  // 0 / 1e-8, not 0 / 0
  CHECK(exact.r2 == 1);
}

TEST_CASE("metrics: r2 of several outputs is the mean over columns, and NaN for a constant one") {
  const Tensor t = Tensor::from(Doubles{0, 0, 2, 20}, {2, 2});
  const Tensor p = Tensor::from(Doubles{1, 0, 1, 20}, {2, 2});
  CHECK(regression_metrics(p, t).r2 == 0.5);  // 0 and 1
  // The mean of a hundred 0.1 is not 0.1.
  const Tensor constant = Tensor::full({100}, 0.1, DType::f64);
  CHECK(std::isnan(regression_metrics(Tensor::zeros({100}, DType::f64), constant).r2));
}

TEST_CASE("metrics: a target far from zero loses no digits") {
  Floats t, p;
  for (int i = 0; i < 1000; ++i) {
    t.push_back(1e6f + static_cast<float>(i % 2));
    p.push_back(t.back() + 0.5f);
  }
  const auto m = regression_metrics(column(p), column(t));
  CHECK(m.mse == 0.25);
  CHECK(m.r2 == 0);  // 250 / 250
}

TEST_CASE("metrics: a NaN in the prediction is in every figure") {
  const auto m = regression_metrics(column({1, NAN}), column({1, 2}));
  for (double v : {m.mse, m.rmse, m.mae, m.smape, m.r2}) CHECK(std::isnan(v));
}

TEST_CASE("metrics: classes by hand") {
  // Predictions 0, 0 (of a tie), 1, 0, 1; class 2 is never predicted and class 3 never meant.
  const Tensor logits =
      Tensor::from(Floats{3, 1, 0, 0, 2, 2, 1, 2, 0, 5, 1, 0, 1, 0, -1, 0, -3, -1, -2, -2}, {5, 4});
  const auto m = class_metrics(logits, Tensor::from(Ints{0, 1, 1, 0, 2}, {5}));
  CHECK(counts(m) == std::vector<int64_t>{2, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  CHECK(m.accuracy == 3 / 5.0);
  REQUIRE(m.classes.size() == 4);
  const auto expect = [&](size_t c, int64_t support, double precision, double recall, double f1) {
    CAPTURE(c);
    CHECK(m.classes[c].support == support);
    CHECK(m.classes[c].precision == precision);
    CHECK(m.classes[c].recall == recall);
    CHECK(m.classes[c].f1 == f1);
  };
  expect(0, 2, 2 / 3.0, 1, 4 / 5.0);
  expect(1, 2, 1 / 2.0, 1 / 2.0, 1 / 2.0);
  expect(2, 1, 0, 0, 0);
  expect(3, 0, 0, 0, 0);
}

TEST_CASE("metrics: wrong types, shapes and labels are errors") {
  const std::string regression =
      "regression_metrics: needs f32 or f64 of one shape with elements (prediction ";
  const auto check = [&](const Tensor& p, const Tensor& t, const char* values) {
    CHECK_THROWS_WITH_AS(regression_metrics(p, t), (regression + values).c_str(), Error);
  };
  const Tensor y({3, 1});
  check({}, y, "undefined, target f32 [3, 1])");
  check(y, Tensor({3}), "f32 [3, 1], target f32 [3])");
  check(y, Tensor({3, 1}, DType::i32), "f32 [3, 1], target i32 [3, 1])");
  check(Tensor({0, 1}), Tensor({0, 1}), "f32 [0, 1], target f32 [0, 1])");
  check(Tensor::scalar(1), Tensor::scalar(1), "f32 [], target f32 [])");

  const std::string classes =
      "class_metrics: needs logits (rows, classes) and labels i32 (rows) (logits ";
  const auto check_classes = [&](const Tensor& x, const Tensor& t, const char* values) {
    CHECK_THROWS_WITH_AS(class_metrics(x, t), (classes + values).c_str(), Error);
  };
  const Tensor x = Tensor::zeros({2, 3}), t = Tensor::from(Ints{0, 2}, {2});
  check_classes({}, t, "undefined, labels i32 [2])");
  check_classes(x, {}, "f32 [2, 3], labels undefined)");
  check_classes(x, Tensor({2}), "f32 [2, 3], labels f32 [2])");
  check_classes(x, Tensor({3}, DType::i32), "f32 [2, 3], labels i32 [3])");
  check_classes(Tensor({2}), t, "f32 [2], labels i32 [2])");
  check_classes(Tensor({0, 3}), Tensor({0}, DType::i32), "f32 [0, 3], labels i32 [0])");
  CHECK_THROWS_WITH_AS(class_metrics(x, Tensor::from(Ints{0, 3}, {2})),
                       "class_metrics: label outside [0, 3) (row 1, label 3)", Error);
  CHECK_THROWS_WITH_AS(class_metrics(x, Tensor::from(Ints{-1, 2}, {2})),
                       "class_metrics: label outside [0, 3) (row 0, label -1)", Error);
  const ClassMetrics many = class_metrics(Tensor::zeros({1, 4097}), Tensor::from(Ints{0}, {1}));
  CHECK(many.confusion.empty());
  CHECK(many.accuracy == 1);
  CHECK(many.classes[0].support == 1);
}
