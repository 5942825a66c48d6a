// Figures of merit of predictions, computed on the host in f64, sums in the order of the elements.
#pragma once
#include <cstdint>
#include <vector>

#include "sinew/tensor.h"

namespace sinew {

// With p the prediction, t the target and means over all elements:
struct RegressionMetrics {
  double mse = 0;    // mean((p - t)^2)
  double rmse = 0;   // sqrt(mse)
  double mae = 0;    // mean(|p - t|)
  double smape = 0;  // mean(2 |p - t| / (|t| + |p| + 1e-8))
  // 1 - sum((p - t)^2) / sum((t - mean(t))^2), NaN if the target is constant. With several columns
  // the mean of the columns' values (scikit-learn's uniform average), so NaN if one is constant.
  double r2 = 0;
};
// Both of one shape (rows) or (..., columns), f32 or f64. Throws for other types and shapes, and
// without elements.
RegressionMetrics regression_metrics(const Tensor& prediction, const Tensor& target);

// The prediction of a row is the argmax of its logits, the lowest class of equals. Ratios without
// cases are 0, as in scikit-learn: the precision of a class that is never predicted, the recall of
// one that never occurs, and f1 = 2 hits / (support + predicted) of one that does neither.
struct ClassMetrics {
  struct Row {
    int64_t support = 0;  // rows with this label
    double precision = 0, recall = 0, f1 = 0;
  };
  double accuracy = 0;
  std::vector<Row> classes;
  std::vector<std::vector<int64_t>> confusion;  // [label][prediction]; empty above 4096 classes
};
// logits (rows, classes), f32 or f64; labels (rows), i32. Throws for other types and shapes,
// without rows, and for labels outside [0, classes).
ClassMetrics class_metrics(const Tensor& logits, const Tensor& labels);

}  // namespace sinew
