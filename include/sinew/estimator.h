// A geo-sparse network as in scikit-learn: fit, predict, score.
//
//     EstimatorOptions options;
//     options.network.connectivity.k = 12;
//     options.train.epochs = 50;
//     GeoSparseRegressor regressor(options);
//     regressor.fit(x, y);
//     double r2 = regressor.score(test_x, test_y);
//     regressor.save("run");
//
// x: f32 (N, H, W) or (N, n) with n = H * W, one as good as the other wherever x is asked for. NaN
// and infinity throw, as does everything that does not fit together.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sinew/model.h"

namespace sinew {

enum class Scaling : uint8_t { none, standard, minmax };  // standard_scaler, minmax_scaler (data.h)

struct EstimatorOptions {
  // output_dim is that of the data; a shape left empty is that of x (N, H, W), and without
  // connectivity.seed it is random_state. `model` may also name a dense network, on x (N, n).
  NetworkConfig network = {};
  // Early stopping: train.patience > 0. Learning rate: train.schedule.lr.
  TrainOptions train = {.epochs = 200, .optimizer = OptimizerKind::adam};
  FitOptions fit = {};                                       // callbacks, checkpoint
  Scaling scale_x = Scaling::none, scale_y = Scaling::none;  // by the rows that train
  double validation_fraction = 0;  // > 0: split_rows(rows, fraction, random_state)
  // fit goes on from the weights, scalers and classes that are there, with a new optimizer. If such
  // a training fails, its steps so far have been made; any other leaves the estimator as it was.
  bool warm_start = false;
  int64_t random_state = 0;  // of TorchGenerator (weights, then batch orders) and seed_masks
};

class Estimator {
 public:
  EstimatorOptions options;  // may change between fits

  // The folder of save_model, which `sinew predict` reads too. Throws before fit.
  void save(const std::string& folder);
  const Model& model() const;                                           // throws before fit
  const std::vector<EpochRecord>& history() const { return history_; }  // of the last fit

 protected:
  explicit Estimator(const EstimatorOptions& o) : options(o) {}
  void train(TrainData data, int64_t outputs, const std::vector<int64_t>& classes);
  Tensor outputs(const Tensor& x) const;  // (N, outputs)
  void read(const std::string& folder);

  Model model_;
  std::vector<EpochRecord> history_;

 private:
  NetworkConfig network_for(const Tensor& x, int64_t outputs) const;
  void scale(Model& model, TrainData& data) const;
};

class GeoSparseRegressor : public Estimator {
 public:
  explicit GeoSparseRegressor(const EstimatorOptions& o = {}) : Estimator(o) {}
  // What save or `sinew train` wrote, with the options' network and loss; other options have their
  // defaults. Throws for a classifier's folder.
  static GeoSparseRegressor load(const std::string& folder);

  // y f32 (N) or (N, T). With val_x and val_y every epoch is validated.
  void fit(const Tensor& x, const Tensor& y, const Tensor& val_x = {}, const Tensor& val_y = {});
  Tensor predict(const Tensor& x) const;                 // (N), or (N, T) for several targets
  double score(const Tensor& x, const Tensor& y) const;  // R^2 (metrics.h)
};

// Trained with cross_entropy: train.loss is that or left as it is.
class GeoSparseClassifier : public Estimator {
 public:
  explicit GeoSparseClassifier(const EstimatorOptions& o = {}) : Estimator(o) {}
  static GeoSparseClassifier load(const std::string& folder);  // likewise

  // Labels y i32 (N), of any values. Those of val_y, and of y with warm_start, must be known.
  void fit(const Tensor& x, const Tensor& y, const Tensor& val_x = {}, const Tensor& val_y = {});
  const std::vector<int64_t>& classes() const;           // ascending; throws before fit
  Tensor predict(const Tensor& x) const;                 // labels i32 (N)
  Tensor predict_proba(const Tensor& x) const;           // softmax, (N, classes)
  double score(const Tensor& x, const Tensor& y) const;  // share of rows predicted right
};

}  // namespace sinew
