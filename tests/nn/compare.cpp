// A whole comparison against the reference's benchmark (psann, PyTorch 1.13, CPU, f32): one run
// with all its figures in golden/compare/results.json, another whose curves stand below.
#include "sinew/compare.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "gradcheck.h"
#include "nn/uniform.h"
#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/metrics.h"
#include "sinew/ops.h"

using namespace sinew;
using Json = nlohmann::json;
using Floats = std::vector<float>;

namespace {

constexpr double tolerance = 1e-5;  // relative

double relative(double value, double expected) {
  return std::abs(value - expected) / std::abs(expected);
}

struct Setup {
  NetworkConfig geo;
  TaskOptions task;
  PrepareOptions data;
  TrainOptions train;

  explicit Setup(int64_t seed) {
    task.seed = data.seed = seed;
    geo.connectivity.seed = seed;
    data.scale_x = data.scale_y = true;
    train.schedule.lr = 1e-3;
    train.adam.weight_decay = 0;
    train.on_nonfinite = OnNonfinite::ignore;
  }
};

struct Result {
  Contender contender;
  int64_t trainable = 0;
  ContenderRun run;
};

std::vector<Result> run(const Setup& setup, const ComparisonData& data) {
  TorchGenerator generator(setup.task.seed);
  const std::vector<Contender> all = contenders(setup.geo);
  std::vector<std::unique_ptr<Network>> nets;
  for (const Contender& c : all) nets.push_back(make_network(c.config, generator));
  std::vector<Result> results;
  for (size_t i = 0; i < all.size(); ++i)
    results.push_back({all[i], nets[i]->trainable_count(),
                       run_contender(*nets[i], data, setup.train, generator)});
  return results;
}

void check_metrics(const RegressionMetrics& m, const Json& expected) {
  CHECK(relative(m.mse, expected["mse"]) < tolerance);
  CHECK(relative(m.rmse, expected["rmse"]) < tolerance);
  CHECK(relative(m.mae, expected["mae"]) < tolerance);
  CHECK(relative(m.smape, expected["smape"]) < tolerance);
  // The reference divides sums that it rounds to f32; near r2 = 0 an ulp of them is 1.7e-5 of r2.
  CHECK(relative(1 - m.r2, 1 - expected["r2"].get<double>()) < tolerance);
}

void check_result(const Result& r, const Json& expected) {
  CAPTURE(r.contender.name);
  CHECK(r.contender.name == expected["name"]);
  CHECK(r.contender.parameters.analytic == expected["params_analytic"]);
  CHECK(r.contender.parameters.empirical == expected["params_empirical"]);
  CHECK(r.trainable == expected["params_trainable"]);
  CHECK(r.contender.match.has_value() == expected.contains("param_mismatch"));
  if (r.contender.match) {
    CHECK(r.contender.match->mismatch == expected["param_mismatch"]);
    CHECK(r.contender.match->ratio == expected["param_mismatch_ratio"]);
  }
  const ContenderRun& run = r.run;
  REQUIRE(run.curve.size() == expected["curve"].size());
  for (size_t i = 0; i < run.curve.size(); ++i) {
    CHECK(relative(run.curve[i].train_loss, expected["curve"][i]["train_mse"]) < tolerance);
    CHECK(relative(run.curve[i].test_loss, expected["curve"][i]["test_mse"]) < tolerance);
  }
  CHECK(relative(run.grad_norm_max, expected["train"]["grad_norm_max"]) < tolerance);
  CHECK(run.loss_nonfinite_steps + run.grad_nonfinite_steps == 0);
  check_metrics(*run.scores.train.regression, expected["metrics_train"]);
  check_metrics(*run.scores.validation->regression, expected["metrics_val"]);
  check_metrics(*run.scores.test.regression, expected["metrics_test"]);
}

NetworkConfig small_geo() {
  NetworkConfig geo;
  geo.connectivity.shape = {4, 4};
  geo.connectivity.k = 4;
  geo.depth = 2;
  return geo;
}

std::vector<std::string> names(const std::vector<Contender>& all) {
  std::vector<std::string> out;
  for (const Contender& c : all) out.push_back(c.name);
  return out;
}

}  // namespace

TEST_CASE("compare: all figures of a run of the reference") {
  const Json golden = Json::parse(read_file(std::string(SINEW_GOLDEN) + "/compare/results.json"));
  const Json &manifest = golden["manifest"], &meta = manifest["dataset_meta"];
  Setup setup(manifest["seed"]);
  setup.geo.connectivity.shape = manifest["shape"].get<std::vector<int64_t>>();
  setup.geo.connectivity.k = manifest["k"];
  setup.geo.connectivity.pattern = parse_pattern(manifest["pattern"]);
  setup.geo.connectivity.radius = manifest["radius"].get<int64_t>();
  setup.geo.activation = parse_activation(manifest["sparse_activation"]);
  setup.geo.depth = manifest["depth_sparse"];
  setup.task.kind = parse_task(manifest["task"]);
  setup.task.features = manifest["features"];
  setup.task.train_rows = meta["train_size"];
  setup.task.test_rows = meta["test_size"];
  setup.data.validation_fraction = manifest["val_fraction"];
  setup.train.epochs = manifest["epochs"];
  setup.train.batch_size = manifest["batch_size"];
  setup.train.schedule.lr = manifest["lr"];

  const ComparisonData data = prepare(make_task(setup.task), setup.data);
  CHECK(data.data.val_x.dim(0) == meta["val_size"]);
  CHECK(relative(data.y_scaler->shift.value(), meta["y_scaler_mean"]) < tolerance);
  CHECK(relative(data.y_scaler->scale.value(), meta["y_scaler_std"]) < tolerance);
  const std::vector<Result> results = run(setup, data);
  REQUIRE(results.size() == golden["models"].size());
  for (size_t i = 0; i < results.size(); ++i) check_result(results[i], golden["models"][i]);
  CHECK(results[1].contender.match->width == manifest["dense_resrelu_width"]);
  CHECK(results[2].contender.match->width == manifest["dense_respsann_width"]);
}

TEST_CASE("compare: the reference's curves on 4x4, mixed") {
  struct Curve {
    double train[2], test[2], grad_norm_max;
  };
  const Curve expected[] = {
      {{1.0843086, 1.0714307}, {0.3415126, 0.3385855}, 1.4637907},
      {{1.2670763, 1.2297636}, {0.4525617, 0.4415159}, 1.8855199},
      {{1.3570949, 1.3230414}, {0.3870265, 0.3805332}, 1.7541255},
  };
  Setup setup(0);
  setup.geo.connectivity.shape = {4, 4};
  setup.geo.connectivity.k = 4;
  setup.geo.depth = 2;
  setup.task.train_rows = 512;
  setup.task.test_rows = 128;
  setup.train.epochs = 2;
  const auto results = run(setup, prepare(make_task(setup.task), setup.data));
  REQUIRE(results.size() == 3);
  for (size_t m = 0; m < 3; ++m) {
    CAPTURE(results[m].contender.name);
    for (size_t epoch = 0; epoch < 2; ++epoch) {
      const CurvePoint& point = results[m].run.curve[epoch];
      CHECK(relative(point.train_loss, expected[m].train[epoch]) < tolerance);
      CHECK(relative(point.test_loss, expected[m].test[epoch]) < tolerance);
    }
    CHECK(relative(results[m].run.grad_norm_max, expected[m].grad_norm_max) < tolerance);
    if (m > 0) CHECK(results[m].contender.match->width == 8);
  }
}

TEST_CASE("compare: without validation and scaling the data are the task's") {
  const Task task = make_task({.features = 3, .train_rows = 20, .test_rows = 5});
  const ComparisonData data = prepare(task, {.validation_fraction = 0});
  CHECK(data.data.x.host<float>() == task.x.host<float>());
  CHECK(data.data.y.host<float>() == task.y.host<float>());
  CHECK(data.test_x.host<float>() == task.test_x.host<float>());
  CHECK(data.test_y.host<float>() == task.test_y.host<float>());
  CHECK(!data.data.val_x.defined());
  CHECK(!data.x_scaler);
  CHECK(data.unscaled(task.y).host<float>() == task.y.host<float>());
}

TEST_CASE("compare: scalers see the training part, and all parts are scaled") {
  const Task task = make_task({.features = 3, .train_rows = 40, .test_rows = 5, .seed = 2});
  const ComparisonData data =
      prepare(task, {.validation_fraction = 0.25, .scale_x = true, .scale_y = true, .seed = 2});
  const Split split = split_rows(40, 0.25, 2);
  CHECK(data.data.val_y.dim(0) == 10);
  const Scaler x = standard_scaler(gather(task.x, split.train));
  CHECK(data.data.x.host<float>() == x.apply(gather(task.x, split.train)).host<float>());
  CHECK(data.data.val_x.host<float>() == x.apply(gather(task.x, split.validation)).host<float>());
  CHECK(data.test_x.host<float>() == x.apply(task.test_x).host<float>());
  CHECK(test::difference(data.unscaled(data.data.y), gather(task.y, split.train)) < 1e-6);
  CHECK(test::difference(data.unscaled(data.data.val_y), gather(task.y, split.validation)) < 1e-6);
  CHECK(data.test_y.host<float>() == task.test_y.host<float>());
}

TEST_CASE("compare: contenders come in a fixed order, once each") {
  using Names = std::vector<std::string>;
  const auto with = [](const Names& baselines) {
    return names(contenders(small_geo(), {.baselines = baselines}));
  };
  CHECK(names(contenders(small_geo())) == Names{"geo_sparse", "dense_resrelu", "dense_respsann"});
  CHECK(with({}) == Names{"geo_sparse"});
  CHECK(with({"dense_psann", "Dense_resrelu", "dense_relu", "dense_psann", "dense_respsann"}) ==
        Names{"geo_sparse", "dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"});
}

TEST_CASE("compare: widths of the published sweeps, 8x8, psann, depth 8, k 16") {
  NetworkConfig geo;
  geo.connectivity.shape = {8, 8};
  geo.connectivity.k = 16;
  geo.depth = 8;
  const auto all = contenders(
      geo, {.baselines = {"dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"}});
  REQUIRE(all.size() == 5);
  CHECK(all[0].parameters.analytic == 17481);
  CHECK(all[0].parameters.empirical == 19529);
  const int64_t widths[] = {0, 32, 32, 48, 46};
  for (size_t i = 1; i < 5; ++i) CHECK(all[i].match->width == widths[i]);
}

TEST_CASE("compare: counts are those of the networks, whatever their parts") {
  std::vector<NetworkConfig> configs(4, small_geo());
  configs[1].activation = ActivationKind::mixed;
  configs[1].activation_config.types = {ActivationKind::psann, ActivationKind::relu,
                                        ActivationKind::phase_psann};
  configs[1].norm = NormKind::layer;
  configs[2].activation = ActivationKind::relu_sigmoid_psann;
  configs[2].norm = NormKind::none;
  configs[2].bias = Bias::no;
  configs[3].activation = ActivationKind::tanh;
  configs[3].output_dim = 3;
  for (const NetworkConfig& geo : configs) {
    const ContenderOptions options{
        {"dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"}, 3, 4096};
    for (const Contender& c : contenders(geo, options)) {
      CAPTURE(c.name);
      TorchGenerator generator(0);
      CHECK(make_network(c.config, generator)->parameter_count() == c.parameters.empirical);
      CHECK(c.config.output_dim == geo.output_dim);
      CHECK(c.config.depth == (c.match ? 3 : 2));
    }
  }
}

TEST_CASE("compare: the activation config is that of geo and of the psann nets") {
  NetworkConfig geo = small_geo();
  geo.activation_config.frequency.value = {2.5};
  const auto all = contenders(
      geo, {.baselines = {"dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"}});
  for (const Contender& c : all) {
    CAPTURE(c.name);
    const bool sines = c.config.activation == ActivationKind::psann;
    CHECK(c.config.activation_config.frequency.value.has_value() == sines);
  }
}

TEST_CASE("compare: max_width limits, and wrong options are errors") {
  const auto limited =
      contenders(small_geo(), {.baselines = {"dense_resrelu", "dense_relu"}, .max_width = 3});
  CHECK(limited[1].match->width == 3);
  CHECK(limited[2].match->width == 3);
  CHECK_THROWS_WITH_AS(contenders(small_geo(), {.baselines = {"dense"}}),
                       "contenders: unknown baseline (dense; nearest is dense_relu)", Error);
  const std::string range = "contenders: a size outside [1, 2^20] ";
  CHECK_THROWS_WITH_AS(contenders(small_geo(), {.max_width = 0}),
                       (range + "(depth 2, dense_depth 2, max_width 0)").c_str(), Error);
  CHECK_THROWS_WITH_AS(contenders(small_geo(), {.max_width = 1048577}),
                       (range + "(depth 2, dense_depth 2, max_width 1048577)").c_str(), Error);
  CHECK_THROWS_WITH_AS(contenders(small_geo(), {.dense_depth = 0}),
                       (range + "(depth 2, dense_depth 0, max_width 4096)").c_str(), Error);
  NetworkConfig deep = small_geo();
  deep.depth = 1 << 21;
  CHECK_THROWS_WITH_AS(contenders(deep, {.dense_depth = 1}),
                       (range + "(depth 2097152, dense_depth 1, max_width 4096)").c_str(), Error);
  NetworkConfig mlp;
  mlp.model = ModelKind::mlp;
  CHECK_THROWS_WITH_AS(contenders(mlp), "contenders: needs a geo_sparse configuration", Error);
  CHECK_THROWS_WITH_AS(contenders(NetworkConfig()), "geo_sparse: shape is missing (H x W)", Error);
}

// --- runs and reference lines ---------------------------------------------------------------
namespace {

// y = 3 x0 - x1 + 2, with a third column that repeats the first.
Task linear_task() {
  Task task;
  const Tensor x = test::uniform({60, 2}, 1), test_x = test::uniform({20, 2}, 2);
  const Tensor weights = Tensor::from(std::vector<float>{3, -1}, {2, 1});
  const auto repeated = [](const Tensor& t) { return concat({t, slice(t, 1, 0, 1)}, 1); };
  const auto target = [&](const Tensor& t) { return affine(matmul(t, weights), 1, 2); };
  return {repeated(x), target(x), repeated(test_x), target(test_x), {}};
}

Tensor labels_of(const Tensor& y) {  // 0 below 1, 1 below 4, else 2
  std::vector<int32_t> out;
  for (const double v : y.values()) out.push_back(static_cast<int32_t>(v > 1) + (v > 4 ? 1 : 0));
  return Tensor::from(out, {static_cast<int64_t>(out.size())});
}

NetworkConfig grid_of_three(int64_t outputs) {
  NetworkConfig geo;
  geo.connectivity.shape = {1, 3};
  geo.connectivity.k = 2;
  geo.depth = 1;
  geo.output_dim = outputs;
  return geo;
}

}  // namespace

TEST_CASE("compare: least squares finds a linear task, collinear columns and scaling or not") {
  for (const bool scale : {false, true}) {
    PrepareOptions options;
    options.scale_x = options.scale_y = scale;
    const auto lines = reference_lines(prepare(linear_task(), options));
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].name == "mean");
    CHECK(std::abs(lines[0].scores.train.regression->r2) < 1e-6);
    CHECK(lines[1].name == "least_squares");
    CHECK(lines[1].scores.train.loss < 1e-12);
    CHECK(lines[1].scores.test.loss < 1e-12);
    CHECK(lines[1].scores.validation->loss < 1e-12);
  }
}

TEST_CASE("compare: least squares whatever the columns' units") {
  for (const double unit : {1e-8, 1.0, 1e8}) {
    Task task = linear_task();
    task.x = concat({affine(slice(task.x, 1, 0, 1), unit, 0), slice(task.x, 1, 1, 1),
                     affine(slice(task.x, 1, 0, 1), 0, 5)},
                    1);
    task.test_x = concat({affine(slice(task.test_x, 1, 0, 1), unit, 0), slice(task.test_x, 1, 1, 1),
                          affine(slice(task.test_x, 1, 0, 1), 0, 5)},
                         1);
    CHECK(reference_lines(prepare(task, {}))[1].scores.test.loss < 1e-12);
  }
}

TEST_CASE("compare: collinear columns share their weight") {
  const Tensor x = test::uniform({40, 1}, 3), other = test::uniform({40, 1}, 4);
  const Task task{concat({x, x}, 1), x, concat({x, other}, 1), affine(add(x, other), 0.5, 0), {}};
  CHECK(reference_lines(prepare(task, {}))[1].scores.test.loss < 1e-9);
}

TEST_CASE("compare: reference lines of the published tasks") {
  // geosparse.md section 6: least squares on test rows, 64 features, 8192 rows, means of 3 seeds.
  double mean = 0, linear = 0;
  for (int64_t seed = 0; seed < 3; ++seed) {
    const Task task = make_task({TaskKind::sine, 64, 8192, 2048, seed});
    const auto lines = reference_lines(prepare(task, {.validation_fraction = 0}));
    mean += lines[0].scores.test.loss / 3;
    linear += lines[1].scores.test.loss / 3;
    CHECK(!lines[0].scores.validation);
  }
  CHECK(std::abs(mean - 0.738) < 0.0005);
  CHECK(std::abs(linear - 0.658) < 0.0005);
}

TEST_CASE("compare: reference lines of a classification") {
  Task task = linear_task();
  task.y = labels_of(task.y);
  task.test_y = labels_of(task.test_y);
  const auto lines = reference_lines(prepare(task, {}), 3);
  CHECK(lines[0].name == "most_frequent");
  const ClassMetrics& constant = *lines[0].scores.train.classes;
  int64_t most = 0;
  for (const auto& row : constant.classes) most = std::max(most, row.support);
  CHECK(constant.accuracy == doctest::Approx(static_cast<double>(most) / 54));
  CHECK(std::isnan(lines[0].scores.train.loss));
  CHECK(lines[1].scores.train.classes->accuracy > constant.accuracy);
}

TEST_CASE("compare: a run of a classification, its best epoch and its memory") {
  Task task = linear_task();
  task.y = labels_of(task.y);
  task.test_y = labels_of(task.test_y);
  const ComparisonData data = prepare(task, {.validation_fraction = 0.2});
  TorchGenerator generator(0);
  const auto net = make_network(grid_of_three(3), generator);
  TrainOptions options;
  options.epochs = 12;
  options.batch_size = 16;
  options.schedule.lr = 0.2;
  options.loss.kind = LossKind::cross_entropy;
  int64_t steps = 0;
  const ContenderRun run = run_contender(*net, data, options, generator,
                                         [&](const Trainer& t) { steps = t.steps_done(); });
  CHECK(steps == 36);
  CHECK(run.steps.size() == 36);
  REQUIRE(run.curve.size() == 12);
  size_t best = 0;
  for (size_t i = 0; i < 12; ++i)
    if (*run.curve[i].val_loss + 1e-12 < *run.curve[best].val_loss) best = i;
  CHECK(run.best_epoch == static_cast<int64_t>(best) + 1);
  CHECK(run.best_test.loss == run.curve[best].test_loss);
  CHECK(run.best_validation->classes->accuracy == *run.curve[best].val_accuracy);
  CHECK(run.scores.test.loss == run.curve[11].test_loss);
  CHECK(run.scores.test.classes->accuracy > 0.5);
  CHECK(run.memory_high_water > 4 * 4 * net->parameter_count());
  CHECK(run.memory_high_water < 1 << 20);
}

TEST_CASE("compare: a run wants one of two losses") {
  const ComparisonData data = prepare(linear_task(), {});
  TorchGenerator generator(0);
  const auto net = make_network(grid_of_three(1), generator);
  TrainOptions options;
  options.loss.kind = LossKind::huber;
  CHECK_THROWS_WITH_AS(run_contender(*net, data, options, generator),
                       "run_contender: the loss must be mse or cross_entropy (huber)", Error);
}

TEST_CASE("compare: runs in two threads at once give the figures of one") {
  const auto loss = [] {
    const ComparisonData data = prepare(linear_task(), {});
    TorchGenerator generator(0);
    const auto net = make_network(grid_of_three(1), generator);
    TrainOptions options;
    options.epochs = 3;
    options.batch_size = 16;
    const double linear = reference_lines(data)[1].scores.test.loss;
    return run_contender(*net, data, options, generator).scores.test.loss + linear;
  };
  const double alone = loss();
  double together[2] = {};
  {
    std::jthread first([&] { together[0] = loss(); }), second([&] { together[1] = loss(); });
  }
  CHECK(together[0] == alone);
  CHECK(together[1] == alone);
}
