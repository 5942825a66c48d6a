// Estimators: checks of the data and a Model around Trainer. The options are those of the psann
// package's GeoSparseRegressor; weights, batch orders and masks start from random_state in the
// order of `sinew train`.
#include "sinew/estimator.h"

#include <algorithm>
#include <functional>

#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

std::string describe(const Tensor& t) {
  return t.defined() ? std::string(name(t.dtype())) + " " + t.shape().str() : "undefined";
}

// x as (N, n), checked against the network.
Tensor rows_of(const std::string& what, const Tensor& x, const NetworkConfig& config) {
  const auto& grid = config.connectivity.shape;
  const bool table = x.rank() == 2 && x.dim(1) == config.input_dim;
  const bool grids = x.rank() == 3 && grid == std::vector<int64_t>{x.dim(1), x.dim(2)};
  if (!x.defined() || x.dtype() != DType::f32 || !(table || grids)) {
    const std::string n = std::to_string(config.input_dim);
    throw Error(what + ": needs f32 (N, " + n + ")" +
                (grid.empty() ? "" : " or (N, H, W) of shape " + Shape(grid).str()) + " (is " +
                describe(x) + ")");
  }
  require_finite(what, x);
  return reshape(x, {x.dim(0), config.input_dim});
}

// y of a regressor as (N, T).
Tensor columns_of(const std::string& what, const Tensor& y) {
  if (!y.defined() || y.dtype() != DType::f32 || y.rank() < 1 || y.rank() > 2)
    throw Error(what + ": needs f32 (N) or (N, T) (is " + describe(y) + ")");
  require_finite(what, y);
  return y.rank() == 1 ? reshape(y, {y.dim(0), 1}) : y;
}

std::vector<int32_t> labels_of(const std::string& what, const Tensor& y) {
  if (!y.defined() || y.dtype() != DType::i32 || y.rank() != 1)
    throw Error(what + ": needs labels i32 (N) (is " + describe(y) + ")");
  return y.host<int32_t>();
}

// The index of each label among the classes, i32 (N).
Tensor indices_of(const std::string& what, const Tensor& y, const std::vector<int64_t>& classes) {
  std::vector<int32_t> indices;
  for (const int32_t label : labels_of(what, y)) {
    const auto at = std::lower_bound(classes.begin(), classes.end(), label);
    if (at == classes.end() || *at != label)
      throw Error(what + ": row " + std::to_string(indices.size() + 1) + ": label " +
                  std::to_string(label) + " is none of the " + std::to_string(classes.size()) +
                  " classes");
    indices.push_back(static_cast<int32_t>(at - classes.begin()));
  }
  return Tensor::from(indices, y.shape());
}

void require_same_rows(const std::string& what, const Tensor& x, const Tensor& y) {
  if (x.dim(0) != y.dim(0))
    throw Error(what + ": rows of x and y differ (" + std::to_string(x.dim(0)) + ", " +
                std::to_string(y.dim(0)) + ")");
}

std::optional<Scaler> scaler_of(Scaling scaling, const Tensor& rows) {
  switch (scaling) {
    case Scaling::none: return std::nullopt;
    case Scaling::standard: return standard_scaler(rows);
    case Scaling::minmax: return minmax_scaler(rows);
  }
  return std::nullopt;
}

}  // namespace

const Model& Estimator::model() const {
  if (!model_.net) throw Error("estimator: not fitted");
  return model_;
}

void Estimator::save(const std::string& folder) {
  model();
  save_model(folder, model_);
}

void Estimator::read(const std::string& folder) {
  model_ = load_model(folder);
  options.network = model_.config;
  options.train.loss = model_.loss;
}

Tensor Estimator::outputs(const Tensor& x) const {
  return sinew::predict(model(), rows_of("predict: x", x, model().config));
}

NetworkConfig Estimator::network_for(const Tensor& x, int64_t outputs) const {
  NetworkConfig config = options.network;
  auto& grid = config.connectivity.shape;
  if (config.model == ModelKind::geo_sparse && grid.empty()) {
    if (x.rank() != 3)
      throw Error("fit: x: needs (N, H, W) where network.connectivity.shape is empty (is " +
                  describe(x) + ")");
    grid = {x.dim(1), x.dim(2)};
  }
  if (config.input_dim == 0 && x.rank() == 2) config.input_dim = x.dim(1);
  config.output_dim = outputs;
  if (!config.connectivity.seed) config.connectivity.seed = options.random_state;
  return checked(config);
}

void Estimator::scale(Model& model, TrainData& data) const {
  if (!model.net) {
    model.x_scaler = scaler_of(options.scale_x, data.x);
    model.y_scaler = scaler_of(options.scale_y, data.y);
  }
  for (Tensor* x : {&data.x, &data.val_x})
    if (model.x_scaler && x->defined()) *x = model.x_scaler->apply(*x);
  for (Tensor* y : {&data.y, &data.val_y})
    if (model.y_scaler && y->defined()) *y = model.y_scaler->apply(*y);
  data.y_scaler = model.y_scaler;
}

// data: x as it came, y as the loss takes it.
void Estimator::train(TrainData data, int64_t outputs, const std::vector<int64_t>& classes) {
  Model fresh;
  Model& model = options.warm_start && model_.net ? model_ : fresh;
  if (!model.net) model.config = network_for(data.x, outputs);
  const auto check = [&](const std::string& part, Tensor& x, const Tensor& y) {
    x = rows_of("fit: " + part + "x", x, model.config);
    require_same_rows("fit: " + part + "data", x, y);
    if (y.rank() == 2 && y.dim(1) != model.config.output_dim)
      throw Error("fit: " + part + "y has " + std::to_string(y.dim(1)) + " columns, the network " +
                  std::to_string(model.config.output_dim) + " outputs");
  };
  check("", data.x, data.y);
  if (data.val_y.defined()) check("validation ", data.val_x, data.val_y);
  if (options.validation_fraction > 0) {
    if (data.val_y.defined()) throw Error("fit: validation data and validation_fraction");
    const Split split =
        split_rows(data.x.dim(0), options.validation_fraction, options.random_state);
    data = {gather(data.x, split.train), gather(data.y, split.train),
            gather(data.x, split.validation), gather(data.y, split.validation)};
  }
  scale(model, data);
  TorchGenerator generator(options.random_state);
  seed_masks(static_cast<uint64_t>(options.random_state));
  if (!model.net) model.net = make_network(model.config, generator);
  TrainOptions train_options = options.train;
  if (!classes.empty()) train_options.loss.kind = LossKind::cross_entropy;
  Trainer trainer(*model.net, data, train_options, generator);
  model.loss = train_options.loss;
  model.classes = classes;
  sinew::fit(trainer, options.fit);
  history_ = trainer.history();
  if (&model == &fresh) model_ = std::move(fresh);
}

void GeoSparseRegressor::fit(const Tensor& x, const Tensor& y, const Tensor& val_x,
                             const Tensor& val_y) {
  if (options.train.loss.kind == LossKind::cross_entropy)
    throw Error("fit: cross_entropy is for class labels, this is a regressor");
  TrainData data{x, columns_of("fit: y", y)};
  if (val_x.defined() || val_y.defined()) {
    data.val_x = val_x;
    data.val_y = columns_of("fit: validation y", val_y);
  }
  const int64_t targets = data.y.dim(1);
  train(std::move(data), targets, {});
}

Tensor GeoSparseRegressor::predict(const Tensor& x) const {
  const Tensor y = outputs(x);
  return y.dim(1) == 1 ? reshape(y, {y.dim(0)}) : y;
}

double GeoSparseRegressor::score(const Tensor& x, const Tensor& y) const {
  return regression_metrics(outputs(x), columns_of("score: y", y)).r2;
}

GeoSparseRegressor GeoSparseRegressor::load(const std::string& folder) {
  GeoSparseRegressor out;
  out.read(folder);
  if (!out.model_.classes.empty()) throw Error("load: " + folder + " holds a classifier");
  return out;
}

void GeoSparseClassifier::fit(const Tensor& x, const Tensor& y, const Tensor& val_x,
                              const Tensor& val_y) {
  const LossKind loss = options.train.loss.kind;
  if (loss != LossKind::cross_entropy && loss != TrainOptions().loss.kind)
    throw Error(std::string("fit: ") + name(loss) + " is for numbers, this is a classifier");
  if (options.scale_y != Scaling::none)
    throw Error("fit: scale_y is for numbers, this is a classifier");
  std::vector<int64_t> known = model_.classes;
  if (!options.warm_start || known.empty()) {
    const auto labels = labels_of("fit: y", y);
    known.assign(labels.begin(), labels.end());
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
  }
  TrainData data{x, indices_of("fit: y", y, known)};
  if (val_x.defined() || val_y.defined()) {
    data.val_x = val_x;
    data.val_y = indices_of("fit: validation y", val_y, known);
  }
  train(std::move(data), static_cast<int64_t>(known.size()), known);
}

const std::vector<int64_t>& GeoSparseClassifier::classes() const { return model().classes; }

Tensor GeoSparseClassifier::predict(const Tensor& x) const {
  const Tensor best = argmax(outputs(x));
  const std::vector<int32_t> labels(classes().begin(), classes().end());
  return gather(Tensor::from(labels, {static_cast<int64_t>(labels.size())}), best);
}

Tensor GeoSparseClassifier::predict_proba(const Tensor& x) const { return softmax(outputs(x)); }

double GeoSparseClassifier::score(const Tensor& x, const Tensor& y) const {
  const std::vector<int32_t> wanted = labels_of("score: y", y);
  const Tensor answers = predict(x);
  require_same_rows("score", answers, y);
  if (wanted.empty()) throw Error("score: no rows");
  const std::vector<int32_t> given = answers.host<int32_t>();
  double right = 0;
  for (size_t i = 0; i < wanted.size(); ++i) right += given[i] == wanted[i];
  return right / static_cast<double>(wanted.size());
}

GeoSparseClassifier GeoSparseClassifier::load(const std::string& folder) {
  GeoSparseClassifier out;
  out.read(folder);
  const auto& classes = out.model_.classes;
  if (classes.empty()) throw Error("load: " + folder + " holds a regressor");
  const bool ascending = std::is_sorted(classes.begin(), classes.end(), std::less_equal<>());
  if (!ascending || classes.front() < INT32_MIN || classes.back() > INT32_MAX)
    throw Error("load: " + folder + ": classes are not ascending i32");
  return out;
}

}  // namespace sinew
