#include <doctest/doctest.h>

#include <cmath>

#include "nn/files.h"
#include "nn/uniform.h"
#include "sinew/compare.h"
#include "sinew/error.h"
#include "sinew/estimator.h"
#include "sinew/io.h"
#include "sinew/ops.h"

using namespace sinew;
using test::error_of;
using test::uniform;

namespace {

Tensor labels(const std::vector<int32_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

// Small, and with everything that draws numbers.
EstimatorOptions small() {
  EstimatorOptions o;
  o.network.connectivity.pattern = Pattern::random;
  o.network.connectivity.k = 3;
  o.network.depth = 2;
  o.network.drop_path_max = 0.3;
  o.train.epochs = 3;
  o.train.batch_size = 16;
  o.train.schedule.lr = 1e-2;
  o.random_state = 5;
  return o;
}

// The sign of the sum of a row picks one of three labels.
Tensor three_labels(const Tensor& x) {
  std::vector<int32_t> out;
  for (const double s : sum(reshape(x, {x.dim(0), x.numel() / x.dim(0)}), {1}).values())
    out.push_back(s < -0.5 ? 100 : s > 0.5 ? -7 : 3);
  return labels(out);
}

// The outputs are `bias`, whatever the input.
void make_constant(const Estimator& estimator, const std::vector<float>& bias) {
  for (const Parameter& p : estimator.model().net->parameters()) {
    if (p.name == "head.weight") p.tensor->assign(Tensor::zeros(p.tensor->shape()));
    if (p.name == "head.bias") p.tensor->assign(bias);
  }
}

}  // namespace

TEST_CASE("estimator: the defaults are those of the reference") {
  const EstimatorOptions o;
  CHECK(o.network.depth == 4);
  CHECK(o.network.connectivity.k == 8);
  CHECK(o.train.epochs == 200);
  CHECK(o.train.batch_size == 128);
  CHECK(o.train.schedule.lr == 1e-3);
  CHECK(o.train.optimizer == OptimizerKind::adam);
  CHECK(o.train.adam.weight_decay == 0);
  CHECK(o.train.patience == 0);
}

TEST_CASE("estimator: the bits are those of a Trainer with the same seed") {
  const Tensor x = uniform({50, 3, 4}, 1), y = uniform({50, 2}, 2);
  const Tensor val_x = uniform({9, 3, 4}, 3), val_y = uniform({9, 2}, 4);
  EstimatorOptions options = small();
  options.scale_x = Scaling::minmax;
  options.scale_y = Scaling::standard;
  GeoSparseRegressor regressor(options);
  regressor.fit(x, y, val_x, val_y);

  const Tensor rows = reshape(x, {50, 12}), val_rows = reshape(val_x, {9, 12});
  const Scaler sx = minmax_scaler(rows), sy = standard_scaler(y);
  NetworkConfig config = options.network;
  config.connectivity.shape = {3, 4};
  config.connectivity.seed = 5;
  config.output_dim = 2;
  TorchGenerator generator(5);
  seed_masks(5);
  const auto net = make_network(config, generator);
  Trainer trainer(*net, {sx.apply(rows), sy.apply(y), sx.apply(val_rows), sy.apply(val_y), sy},
                  options.train, generator);
  fit(trainer);

  CHECK(regressor.predict(x).values() == sy.invert(predict(*net, sx.apply(rows))).values());
  REQUIRE(regressor.history().size() == 3);
  CHECK(regressor.history()[2].train_loss == trainer.history()[2].train_loss);
  CHECK(regressor.history()[2].val_loss == trainer.history()[2].val_loss);
  CHECK(regressor.history()[2].val_metrics->r2 == trainer.history()[2].val_metrics->r2);

  const auto first = regressor.predict(x).values();
  regressor.fit(x, y, val_x, val_y);  // a new start
  CHECK(regressor.predict(x).values() == first);
  regressor.options.random_state = 6;
  regressor.fit(x, y, val_x, val_y);
  CHECK(regressor.predict(x).values() != first);
}

TEST_CASE("estimator: score is R^2") {
  GeoSparseRegressor one(small());
  const Tensor x = uniform({4, 3, 4}, 1);
  one.fit(x, uniform({4}, 2));
  make_constant(one, {2});
  const std::vector<float> y = {1, 2, 3, 6};  // mean 3: 1 - (1 + 0 + 1 + 16) / (4 + 1 + 0 + 9)
  CHECK(one.score(x, Tensor::from(y, {4})) == doctest::Approx(-2.0 / 7).epsilon(1e-12));
  CHECK(one.score(x, Tensor::from(y, {4, 1})) == doctest::Approx(-2.0 / 7).epsilon(1e-12));
  GeoSparseRegressor two(small());
  two.fit(x, uniform({4, 2}, 2));
  make_constant(two, {2, 1});
  // The second column: mean 1, 1 - 20 / 20.
  const std::vector<float> both = {1, -1, 2, 3, 3, -1, 6, 3};
  CHECK(two.score(x, Tensor::from(both, {4, 2})) == doctest::Approx(-1.0 / 7).epsilon(1e-12));
}

TEST_CASE("estimator: a regression is learned") {
  const Task task = make_task({.kind = TaskKind::mixed, .train_rows = 800, .test_rows = 400});
  EstimatorOptions options;
  options.network.connectivity.shape = {4, 4};
  options.train.epochs = 60;
  options.train.schedule.lr = 5e-3;
  GeoSparseRegressor regressor(options);
  regressor.fit(task.x, task.y);
  CHECK(regressor.score(task.test_x, task.test_y) > 0.8);
}

TEST_CASE("estimator: a classification is learned, with labels of any values") {
  const Tensor x = uniform({2000, 3, 3}, 1), test_x = uniform({300, 3, 3}, 2);
  EstimatorOptions options;
  options.train.epochs = 30;
  options.train.schedule.lr = 1e-2;
  GeoSparseClassifier classifier(options);
  classifier.fit(x, three_labels(x));
  CHECK(classifier.classes() == std::vector<int64_t>{-7, 3, 100});
  CHECK(classifier.score(test_x, three_labels(test_x)) > 0.9);
  const Tensor p = classifier.predict_proba(test_x), answers = classifier.predict(test_x);
  CHECK(p.shape() == Shape({300, 3}));
  CHECK(answers.dtype() == DType::i32);
  CHECK(answers.shape() == Shape({300}));
  const auto best = argmax(p).host<int32_t>(), given = answers.host<int32_t>();
  bool same = true;
  for (size_t i = 0; i < given.size(); ++i)
    same = same && given[i] == classifier.classes()[static_cast<size_t>(best[i])];
  CHECK(same);
  for (const double total : sum(p, {1}).values()) CHECK(total == doctest::Approx(1));
}

TEST_CASE("estimator: accuracy; a label that was never learned is a wrong answer") {
  GeoSparseClassifier classifier(small());
  const Tensor x = uniform({4, 3, 4}, 1);
  classifier.fit(x, labels({8, -2, 8, 5}));
  make_constant(classifier, {0, 1, 0});
  CHECK(classifier.predict(x).host<int32_t>() == std::vector<int32_t>{5, 5, 5, 5});
  CHECK(classifier.score(x, labels({5, 8, 5, 6})) == 0.5);
}

TEST_CASE("estimator: x as a grid or as rows, many rows, one target or several") {
  const Tensor x = uniform({5000, 3, 4}, 1), rows = reshape(x, {5000, 12});
  EstimatorOptions options = small();
  options.train.epochs = 1;
  options.scale_x = Scaling::standard;
  GeoSparseRegressor grid(options);
  grid.fit(x, uniform({5000}, 2));
  options.network.connectivity.shape = {3, 4};
  GeoSparseRegressor flat(options);
  flat.fit(rows, uniform({5000, 1}, 2));
  const Tensor y = grid.predict(x);
  CHECK(y.shape() == Shape({5000}));
  CHECK(grid.predict(rows).values() == y.values());
  CHECK(flat.predict(x).values() == y.values());
  CHECK(flat.predict(rows).shape() == Shape({5000}));
  CHECK(grid.predict(x.rows(4990, 10)).values() == y.rows(4990, 10).values());
  flat.fit(rows, uniform({5000, 2}, 2));
  CHECK(flat.predict(rows).shape() == Shape({5000, 2}));
}

TEST_CASE("estimator: a dense network") {
  EstimatorOptions options = small();
  options.network.model = ModelKind::mlp;
  options.network.hidden_dim = 5;
  GeoSparseRegressor regressor(options);
  const Tensor x = uniform({6, 12}, 1);
  regressor.fit(x, uniform({6}, 2));
  CHECK(regressor.predict(x).shape() == Shape({6}));
  CHECK(error_of([&] {
          regressor.predict(reshape(x, {6, 3, 4}));
        }) == "predict: x: needs f32 (N, 12) (is f32 [6, 3, 4])");
}

TEST_CASE("estimator: validation_fraction splits rows before anything is scaled") {
  const Tensor x = uniform({40, 12}, 1), y = uniform({40, 1}, 2);
  EstimatorOptions options = small();
  options.network.connectivity.shape = {3, 4};
  options.scale_x = options.scale_y = Scaling::standard;
  options.validation_fraction = 0.25;
  GeoSparseRegressor split(options);
  split.fit(x, y);
  options.validation_fraction = 0;
  GeoSparseRegressor given(options);
  const Split rows = split_rows(40, 0.25, 5);
  given.fit(gather(x, rows.train), gather(y, rows.train), gather(x, rows.validation),
            gather(y, rows.validation));
  CHECK(split.predict(x).values() == given.predict(x).values());
  REQUIRE(split.history()[0].val_loss);
  CHECK(split.history()[0].val_loss == given.history()[0].val_loss);
}

TEST_CASE("estimator: early stopping, callbacks") {
  EstimatorOptions options = small();
  options.train.epochs = 100;
  options.train.patience = 2;
  int64_t seen = 0;
  options.fit.after_epoch = [&](const Trainer&) { ++seen; };
  GeoSparseRegressor regressor(options);
  const Tensor x = uniform({40, 3, 4}, 1), val_x = uniform({20, 3, 4}, 3);
  const Tensor val_y = uniform({20}, 4);
  regressor.fit(x, uniform({40}, 2), val_x, val_y);
  const auto epochs = static_cast<int64_t>(regressor.history().size());
  REQUIRE(epochs < 100);
  CHECK(seen == epochs);
  const double best = *regressor.history()[static_cast<size_t>(epochs - 3)].val_loss;
  CHECK(mse(regressor.predict(val_x), val_y).value() == doctest::Approx(best).epsilon(1e-6));
}

TEST_CASE("estimator: warm_start goes on from weights, scalers and classes") {
  const Tensor x = uniform({40, 3, 4}, 1), other = affine(uniform({30, 3, 4}, 2), 9, 50);
  EstimatorOptions options = small();
  options.scale_x = Scaling::standard;
  options.warm_start = true;
  GeoSparseClassifier classifier(options);
  classifier.fit(x, three_labels(x));
  const auto shift = classifier.model().x_scaler->shift.values();
  const auto first = classifier.predict_proba(x).values();
  classifier.options.train.schedule.lr = 0;
  classifier.fit(other, labels(std::vector<int32_t>(30, 3)));
  CHECK(classifier.predict_proba(x).values() == first);
  CHECK(classifier.model().x_scaler->shift.values() == shift);
  CHECK(classifier.classes() == std::vector<int64_t>{-7, 3, 100});
  classifier.options.train.schedule.lr = 1e-2;
  classifier.fit(x, three_labels(x));
  CHECK(classifier.predict_proba(x).values() != first);
  CHECK(error_of([&] { classifier.fit(other, labels(std::vector<int32_t>(30, 4))); }) ==
        "fit: y: row 1: label 4 is none of the 3 classes");
  CHECK(error_of([&] {
          classifier.fit(uniform({40, 4, 3}, 1), three_labels(x));
        }) == "fit: x: needs f32 (N, 12) or (N, H, W) of shape [3, 4] (is f32 [40, 4, 3])");
  GeoSparseRegressor regressor(options);
  regressor.fit(x, uniform({40, 2}, 1));
  CHECK(error_of([&] { regressor.fit(x, uniform({40}, 1)); }) ==
        "fit: y has 1 columns, the network 2 outputs");
}

TEST_CASE("estimator: a fit that fails leaves what was there") {
  const Tensor x = uniform({40, 3, 4}, 1), y = uniform({40}, 2);
  GeoSparseRegressor regressor(small());
  regressor.fit(x, y);
  const auto before = regressor.predict(x).values();
  regressor.options.train.optimizer = OptimizerKind::sgd;
  regressor.options.train.schedule.lr = 1e30;
  CHECK_THROWS_AS(regressor.fit(x, y), Error);
  CHECK(regressor.predict(x).values() == before);
  CHECK(regressor.history().size() == 3);
}

TEST_CASE("estimator: saved and loaded, it predicts the same bits and can go on") {
  const test::Folder folder;
  const Tensor x = uniform({40, 3, 4}, 1), y = uniform({40}, 2);
  EstimatorOptions options = small();
  options.scale_x = Scaling::standard;
  options.scale_y = Scaling::minmax;
  options.train.loss = {LossKind::huber, 1, 0.25};
  GeoSparseRegressor regressor(options);
  regressor.fit(x, y);
  regressor.save(folder / "r");
  GeoSparseRegressor loaded = GeoSparseRegressor::load(folder / "r");
  CHECK(loaded.predict(x).shape() == y.shape());
  CHECK(loaded.predict(x).values() == regressor.predict(x).values());
  CHECK(reshape(predict(load_model(folder / "r"), x), {40}).values() ==
        regressor.predict(x).values());
  CHECK(loaded.options.train.loss.kind == LossKind::huber);
  CHECK(loaded.options.train.loss.delta == 0.25);
  CHECK(loaded.history().empty());
  for (GeoSparseRegressor* r : {&regressor, &loaded}) {
    r->options.warm_start = true;
    r->options.train = options.train;
    r->options.random_state = 1;
    r->fit(x, y);
  }
  CHECK(loaded.predict(x).values() == regressor.predict(x).values());

  options = small();
  GeoSparseClassifier classifier(options);
  classifier.fit(x, three_labels(x));
  classifier.save(folder / "c");
  const GeoSparseClassifier again = GeoSparseClassifier::load(folder / "c");
  CHECK(again.classes() == classifier.classes());
  CHECK(again.predict_proba(x).values() == classifier.predict_proba(x).values());
  CHECK(again.predict(x).host<int32_t>() == classifier.predict(x).host<int32_t>());

  const auto load_error = [&](auto load, const char* name) {
    std::string text = error_of([&] { load(folder / name); });
    return text.replace(text.find(folder.path), folder.path.size(), "DIR");
  };
  CHECK(load_error(GeoSparseRegressor::load, "c") == "load: DIR/c holds a classifier");
  CHECK(load_error(GeoSparseClassifier::load, "r") == "load: DIR/r holds a regressor");
  const std::string config = read_file(folder / "c/config.json"), classes = "[-7, 3, 100]";
  REQUIRE(config.find(classes) != std::string::npos);
  for (const char* bad :
       {"[-7, 3, 4294967296]", "[-4294967296, 3, 4]", "[3, -7, 4]", "[3, 3, 4]"}) {
    std::string text = config;
    write_file(folder / "c/config.json", text.replace(text.find(classes), classes.size(), bad));
    CHECK(load_error(GeoSparseClassifier::load, "c") ==
          "load: DIR/c: classes are not ascending i32");
  }
}

TEST_CASE("estimator: before fit") {
  GeoSparseRegressor regressor;
  GeoSparseClassifier classifier;
  const Tensor x = uniform({4, 3, 4}, 1);
  for (const std::function<void()>& f : std::vector<std::function<void()>>{
           [&] { regressor.predict(x); }, [&] { regressor.score(x, uniform({4}, 1)); },
           [&] { regressor.save("unused"); }, [&] { regressor.model(); },
           [&] { classifier.predict(x); }, [&] { classifier.predict_proba(x); },
           [&] { classifier.classes(); },
           [&] {
             classifier.score(x, labels({1, 2, 3, 4}));
           }})
    CHECK(error_of(f) == "estimator: not fitted");
}

TEST_CASE("estimator: data that do not fit") {
  const Tensor x = uniform({4, 3, 4}, 1), y = uniform({4}, 2);
  const auto fit_error = [&](const Tensor& fx, const Tensor& fy, const Tensor& vx = {},
                             const Tensor& vy = {}) {
    return error_of([&] { GeoSparseRegressor(small()).fit(fx, fy, vx, vy); });
  };
  const std::string grid = "needs (N, H, W) where network.connectivity.shape is empty (is ";
  CHECK(fit_error({}, y) == "fit: x: " + grid + "undefined)");
  CHECK(fit_error(reshape(x, {4, 12}), y) == "fit: x: " + grid + "f32 [4, 12])");
  const std::string rows = "needs f32 (N, 12) or (N, H, W) of shape [3, 4] (is ";
  CHECK(fit_error(cast(x, DType::f64), y) == "fit: x: " + rows + "f64 [4, 3, 4])");
  CHECK(fit_error(x, {}) == "fit: y: needs f32 (N) or (N, T) (is undefined)");
  CHECK(fit_error(x, x) == "fit: y: needs f32 (N) or (N, T) (is f32 [4, 3, 4])");
  CHECK(fit_error(x, labels({1, 2, 3, 4})) == "fit: y: needs f32 (N) or (N, T) (is i32 [4])");
  CHECK(fit_error(x, uniform({5}, 2)) == "fit: data: rows of x and y differ (4, 5)");
  CHECK(fit_error(x, y, x) == "fit: validation y: needs f32 (N) or (N, T) (is undefined)");
  CHECK(fit_error(x, y, {}, y) == "fit: validation x: " + rows + "undefined)");
  CHECK(fit_error(x, y, uniform({4, 11}, 1), y) == "fit: validation x: " + rows + "f32 [4, 11])");
  CHECK(fit_error(x, y, x, uniform({3}, 1)) ==
        "fit: validation data: rows of x and y differ (4, 3)");
  CHECK(fit_error(x, y, x, uniform({4, 2}, 1)) ==
        "fit: validation y has 2 columns, the network 1 outputs");
  const Tensor nan = Tensor::full({4}, NAN);
  CHECK(fit_error(x, nan) == "fit: y: row 1, column 1 is not finite (nan)");
  CHECK(fit_error(mul(x, Tensor::scalar(INFINITY)), y).find("is not finite") != std::string::npos);

  GeoSparseRegressor regressor(small());
  regressor.fit(x, y);
  CHECK(error_of([&] {
          regressor.predict(uniform({4, 4, 3}, 1));
        }) == "predict: x: " + rows + "f32 [4, 4, 3])");
  CHECK(error_of([&] { regressor.predict({}); }) == "predict: x: " + rows + "undefined)");
  CHECK(error_of([&] {
          regressor.predict(Tensor::full({1, 12}, NAN));
        }) == "predict: x: row 1, column 1 is not finite (nan)");
  CHECK(error_of([&] { regressor.score(x, {}); }) ==
        "score: y: needs f32 (N) or (N, T) (is undefined)");
  CHECK_THROWS_AS(regressor.score(x, uniform({5}, 2)), Error);
}

TEST_CASE("estimator: options that do not fit") {
  const Tensor x = uniform({4, 3, 4}, 1), y = uniform({4}, 2), z = labels({1, 2, 1, 2});
  EstimatorOptions options = small();
  options.validation_fraction = 0.5;
  CHECK(error_of([&] { GeoSparseRegressor(options).fit(x, y, x, y); }) ==
        "fit: validation data and validation_fraction");
  options = small();
  options.train.loss.kind = LossKind::cross_entropy;
  CHECK(error_of([&] { GeoSparseRegressor(options).fit(x, y); }) ==
        "fit: cross_entropy is for class labels, this is a regressor");
  CHECK(error_of([&] { GeoSparseClassifier(options).fit(x, z); }) == "no error");
  options.train.loss.kind = LossKind::l1;
  CHECK(error_of([&] { GeoSparseClassifier(options).fit(x, z); }) ==
        "fit: l1 is for numbers, this is a classifier");
  options = small();
  options.scale_y = Scaling::standard;
  CHECK(error_of([&] { GeoSparseClassifier(options).fit(x, z); }) ==
        "fit: scale_y is for numbers, this is a classifier");
  options = small();
  options.train.epochs = 0;
  CHECK(error_of([&] { GeoSparseRegressor(options).fit(x, y); }) == "train: epochs below 1 (0)");
}

TEST_CASE("estimator: labels that do not fit") {
  const Tensor x = uniform({4, 3, 4}, 1), z = labels({1, 2, 1, 2});
  GeoSparseClassifier classifier(small());
  CHECK(error_of([&] { classifier.fit(x, uniform({4}, 1)); }) ==
        "fit: y: needs labels i32 (N) (is f32 [4])");
  CHECK(error_of([&] {
          classifier.fit(x, z, x, labels({1, 1, 3, 1}));
        }) == "fit: validation y: row 3: label 3 is none of the 2 classes");
  CHECK(error_of([&] { classifier.fit(x, z, x); }) ==
        "fit: validation y: needs labels i32 (N) (is undefined)");
  classifier.fit(x, z, x, z);
  REQUIRE(classifier.history()[0].val_accuracy);
  CHECK(error_of([&] { classifier.score(x, labels({1})); }) ==
        "score: rows of x and y differ (4, 1)");
  CHECK(error_of([&] { classifier.score(x.rows(0, 0), z.rows(0, 0)); }) == "score: no rows");
}
