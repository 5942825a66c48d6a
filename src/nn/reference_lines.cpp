// What predictions without a network reach. Least squares by the normal equations of standardised
// columns, in f64; the ridge of 1e-10 makes them definite where columns are collinear.
#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "nn/on_cpu.h"
#include "sinew/compare.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

constexpr double ridge = 1e-10;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Part {
  Tensor x, y;  // f64; y the task's values or one-hot classes
  Tensor target;
};

Tensor one_hot(const Tensor& labels, int64_t classes) {
  const std::vector<int32_t> label = labels.host<int32_t>();
  std::vector<double> out(label.size() * static_cast<size_t>(classes));
  for (size_t i = 0; i < label.size(); ++i)
    out[i * static_cast<size_t>(classes) + static_cast<size_t>(label[i])] = 1;
  return Tensor::from(out, {labels.dim(0), classes});
}

// Weights (features, outputs) that map standardised x to y - mean(y).
Tensor least_squares(const Tensor& x, const Tensor& y) {
  const int64_t n = x.dim(1), outputs = y.dim(1);
  std::vector<double> gram = matmul(x, x, Trans::yes, Trans::no).host<double>();
  std::vector<double> right = matmul(x, y, Trans::yes, Trans::no).host<double>();
  Eigen::Map<Matrix> a(gram.data(), n, n), b(right.data(), n, outputs);
  a.diagonal().array() += ridge * static_cast<double>(x.dim(0));
  Eigen::LLT<Eigen::Ref<Matrix>> decomposition(a);  // in place
  decomposition.solveInPlace(b);
  return Tensor::from(right, {n, outputs});
}

// As standard_scaler, but a column counts as constant only if rounding alone could move it.
Scaler column_scaler(const Tensor& x) {
  Scaler scaler{mean(x, {0}), {}};
  const Tensor centred = sub(x, scaler.shift);
  std::vector<double> deviation = sqrt(mean(mul(centred, centred), {0})).host<double>();
  const std::vector<double> shift = scaler.shift.host<double>();
  for (size_t i = 0; i < deviation.size(); ++i)
    if (!(deviation[i] > 1e-12 * std::abs(shift[i]))) deviation[i] = 1;
  scaler.scale = Tensor::from(deviation, {x.dim(1)});
  return scaler;
}

class Lines {
 public:
  Lines(const ComparisonData& data, int64_t classes) : classes_(classes) {
    const auto part = [&](const Tensor& x, const Tensor& y) {
      Part p{cast(x.to(Device::cpu), DType::f64), {}, y.to(Device::cpu)};
      p.y = classes > 0 ? one_hot(p.target, classes) : cast(p.target, DType::f64);
      return p;
    };
    const auto unscaled = [&](const Tensor& y) {
      if (!data.y_scaler) return y.to(Device::cpu);
      return Scaler{data.y_scaler->shift.to(Device::cpu), data.y_scaler->scale.to(Device::cpu)}
          .invert(y.to(Device::cpu));
    };
    train_ = part(data.data.x, unscaled(data.data.y));
    test_ = part(data.test_x, data.test_y);
    if (data.data.val_x.defined()) validation_ = part(data.data.val_x, unscaled(data.data.val_y));
    mean_ = mean(train_.y, {0});
  }

  ReferenceLine constant() const {
    return line(classes_ > 0 ? "most_frequent" : "mean",
                [&](const Part& p) { return add(mul(p.y, Tensor::scalar(0, DType::f64)), mean_); });
  }
  ReferenceLine linear() const {
    const Scaler scaler = column_scaler(train_.x);
    const Tensor weights = least_squares(scaler.apply(train_.x), sub(train_.y, mean_));
    return line("least_squares",
                [&](const Part& p) { return add(matmul(scaler.apply(p.x), weights), mean_); });
  }

 private:
  template <class F>
  ReferenceLine line(const std::string& name, const F& predict) const {
    const auto score = [&](const Part& p) {
      Score s;
      s.loss = NAN;
      if (classes_ > 0) {
        s.classes = class_metrics(predict(p), p.target);
      } else {
        s.regression = regression_metrics(predict(p), p.y);
        s.loss = s.regression->mse;
      }
      return s;
    };
    ReferenceLine out{name, {score(train_), score(test_), {}}};
    if (validation_) out.scores.validation = score(*validation_);
    return out;
  }

  int64_t classes_;
  Part train_, test_;
  std::optional<Part> validation_;
  Tensor mean_;
};

}  // namespace

std::vector<ReferenceLine> reference_lines(const ComparisonData& data, int64_t classes) {
  const OnCpu scope;
  const Lines lines(data, classes);
  return {lines.constant(), lines.linear()};
}

}  // namespace sinew
