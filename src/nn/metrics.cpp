// Figures of merit. Formulas and conventions stand with the declarations (metrics.h): regression as
// in the psann benchmark, classes and the average over outputs as in scikit-learn. Two passes: the
// target's means come first, so that the sums of squares do not cancel.
#include "sinew/metrics.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

std::string describe(const Tensor& t) {
  return t.defined() ? std::string(name(t.dtype())) + " " + t.shape().str() : "undefined";
}

bool is_real(const Tensor& t) {
  return t.defined() && (t.dtype() == DType::f32 || t.dtype() == DType::f64);
}

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Column `c` of `columns`.
double column_r2(const std::vector<double>& p, const std::vector<double>& t, size_t c,
                 size_t columns) {
  double sum = 0, residual = 0, total = 0, low = t[c], high = t[c];
  for (size_t i = c; i < t.size(); i += columns) {
    sum += t[i];
    low = std::min(low, t[i]);
    high = std::max(high, t[i]);
  }
  if (low == high) return NAN;  // rounding of the mean could leave total above 0
  const double mean = sum / static_cast<double>(t.size() / columns);
  for (size_t i = c; i < t.size(); i += columns) {
    residual += (p[i] - t[i]) * (p[i] - t[i]);
    total += (t[i] - mean) * (t[i] - mean);
  }
  return 1 - residual / total;
}

}  // namespace

RegressionMetrics regression_metrics(const Tensor& prediction, const Tensor& target) {
  if (!is_real(prediction) || !is_real(target) || !(prediction.shape() == target.shape()) ||
      target.rank() < 1 || target.numel() < 1)
    throw Error("regression_metrics: needs f32 or f64 of one shape with elements (prediction " +
                describe(prediction) + ", target " + describe(target) + ")");
  const std::vector<double> p = prediction.values(), t = target.values();
  RegressionMetrics m;
  for (size_t i = 0; i < t.size(); ++i) {
    const double distance = std::abs(p[i] - t[i]);
    m.mse += distance * distance;
    m.mae += distance;
    m.smape += 2 * distance / (std::abs(t[i]) + std::abs(p[i]) + 1e-8);
  }
  const double count = static_cast<double>(t.size());
  m.mse /= count;
  m.mae /= count;
  m.smape /= count;
  m.rmse = std::sqrt(m.mse);
  const size_t columns = target.rank() == 1 ? 1 : static_cast<size_t>(target.dim(-1));
  for (size_t c = 0; c < columns; ++c) m.r2 += column_r2(p, t, c, columns);
  m.r2 /= static_cast<double>(columns);
  return m;
}

ClassMetrics class_metrics(const Tensor& logits, const Tensor& labels) {
  if (!is_real(logits) || logits.rank() != 2 || logits.numel() < 1 || !labels.defined() ||
      labels.dtype() != DType::i32 || !(labels.shape() == Shape({logits.dim(0)})))
    throw Error("class_metrics: needs logits (rows, classes) and labels i32 (rows) (logits " +
                describe(logits) + ", labels " + describe(labels) + ")");
  const int64_t classes = logits.dim(1);
  const std::vector<int32_t> predicted = argmax(logits).host<int32_t>(),
                             actual = labels.host<int32_t>();
  const size_t n = static_cast<size_t>(classes);
  ClassMetrics m;
  const bool confusion = classes <= 4096;
  if (confusion) m.confusion.assign(n, std::vector<int64_t>(n, 0));
  std::vector<int64_t> support(n, 0), answers(n, 0), hits(n, 0);
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] < 0 || actual[i] >= classes)
      throw Error("class_metrics: label outside [0, " + std::to_string(classes) + ") (row " +
                  std::to_string(i) + ", label " + std::to_string(actual[i]) + ")");
    const auto label = static_cast<size_t>(actual[i]), answer = static_cast<size_t>(predicted[i]);
    ++support[label];
    ++answers[answer];
    hits[label] += label == answer;
    if (confusion) ++m.confusion[label][answer];
  }
  int64_t all_hits = 0;
  for (size_t c = 0; c < n; ++c) {
    m.classes.push_back({support[c], ratio(hits[c], answers[c]), ratio(hits[c], support[c]),
                         ratio(2 * hits[c], support[c] + answers[c])});
    all_hits += hits[c];
  }
  m.accuracy = ratio(all_hits, labels.numel());
  return m;
}

}  // namespace sinew
