#include <doctest/doctest.h>

#include <cmath>

#include "nn/uniform.h"
#include "sinew/error.h"
#include "sinew/train.h"

using namespace sinew;
using test::uniform;

namespace {

NetworkConfig small_net() {
  NetworkConfig config;
  config.connectivity.shape = {4, 4};
  config.connectivity.seed = 0;
  config.depth = 2;
  config.drop_path_max = 0.3;
  config.residual_alpha_init = 0.5;
  return config;
}

struct Run {
  TorchGenerator generator{0};
  std::unique_ptr<Network> net;
  std::unique_ptr<Trainer> trainer;

  explicit Run(const TrainOptions& options, double y_scale = 1) {
    seed_masks(5);
    net = make_network(small_net(), generator);
    const Tensor y = affine(uniform({70, 1}, 2), y_scale, 0);
    const TrainData data{uniform({70, 16}, 1), y, uniform({20, 16}, 3), uniform({20, 1}, 4)};
    trainer = std::make_unique<Trainer>(*net, data, options, generator);
  }
  std::vector<float> weights() {
    std::vector<float> out;
    for (const Parameter& p : net->parameters())
      for (float v : p.tensor->host<float>()) out.push_back(v);
    return out;
  }
};

std::vector<std::vector<double>> bits(const NamedTensors& state) {
  std::vector<std::vector<double>> out;
  for (const NamedTensor& t : state) out.push_back(t.tensor.values());
  return out;
}

TrainOptions some_options() {
  TrainOptions options;
  options.epochs = 6;
  options.batch_size = 16;
  options.schedule.curve = Curve::cosine;
  options.schedule.lr = 1e-2;
  options.patience = 4;
  options.clip_norm = 1;
  return options;
}

}  // namespace

TEST_CASE("train: epochs, records and the schedule") {
  Run run(some_options());
  int64_t steps = 0;
  while (run.trainer->step()) ++steps;
  const auto& history = run.trainer->history();
  REQUIRE(!history.empty());
  CHECK(run.trainer->steps_per_epoch() == 5);
  CHECK(steps == 5 * static_cast<int64_t>(history.size()));
  CHECK(history[0].epoch == 1);
  CHECK(history[0].val_loss.has_value());
  CHECK(history[0].improved);
  CHECK(history[0].grad_norm_max >= history[0].grad_norm_mean);
  CHECK(history[0].lr < 1e-2);
  CHECK(history.back().train_loss < history[0].train_loss);
  CHECK(!run.trainer->step());
}

TEST_CASE("train: the validation loss is that of the network's predictions") {
  TrainOptions options = some_options();
  options.epochs = 1;
  Run run(options);
  while (run.trainer->step()) {
  }
  const double loss = mse(predict(*run.net, uniform({20, 16}, 3)), uniform({20, 1}, 4)).value();
  CHECK(*run.trainer->history()[0].val_loss == loss);
}

TEST_CASE("train: a training continued from the state at any step ends with the same bits") {
  Run whole(some_options());
  while (whole.trainer->step()) {
  }
  for (int64_t at : {0, 1, 4, 5, 7, 13}) {
    Run first(some_options());
    for (int64_t i = 0; i < at; ++i) first.trainer->step();
    const NamedTensors saved = first.trainer->state();
    const auto before = bits(saved);
    first.trainer->step();  // does not reach the saved values
    CHECK(bits(saved) == before);
    Run second(some_options());
    seed_masks(99);
    second.trainer->set_state(saved);
    while (second.trainer->step()) {
    }
    CHECK(second.weights() == whole.weights());
    REQUIRE(second.trainer->history().size() == whole.trainer->history().size());
    CHECK(second.trainer->history().back().train_loss ==
          whole.trainer->history().back().train_loss);
    CHECK(second.trainer->best_epoch() == whole.trainer->best_epoch());
  }
}

TEST_CASE("train: early stopping puts the best weights back") {
  TrainOptions options = some_options();
  options.epochs = 200;
  options.patience = 3;
  options.schedule = {};
  options.schedule.lr = 0.05;
  Run run(options);
  std::vector<float> best;
  while (run.trainer->step())
    if (run.trainer->epoch_ended() && run.trainer->history().back().improved) best = run.weights();
  CHECK(run.trainer->history().size() < 200);
  CHECK(static_cast<int64_t>(run.trainer->history().size()) == *run.trainer->best_epoch() + 3);
  CHECK(run.weights() == best);
}

TEST_CASE("train: non-finite losses stop, are skipped or ignored") {
  TrainOptions options = some_options();
  options.epochs = 1;
  options.patience = 0;
  {
    Run run(options, INFINITY);
    CHECK_THROWS_WITH_AS(run.trainer->step(),
                         "train: loss or gradient is not finite (epoch 1, step 1)", Error);
  }
  {  // in the first step of an epoch: the state is that of the epoch before
    TrainOptions explodes = options;
    explodes.epochs = 2;
    explodes.batch_size = 70;
    explodes.clip_norm = 0;
    explodes.schedule.lr = 1e38;
    Run run(explodes);
    CHECK(run.trainer->step());
    const auto before = bits(run.trainer->state());
    CHECK_THROWS_WITH_AS(run.trainer->step(),
                         "train: loss or gradient is not finite (epoch 2, step 1)", Error);
    CHECK(run.trainer->steps_done() == 1);
    const NamedTensors state = run.trainer->state();
    Run other(explodes);
    other.trainer->set_state(state);
    CHECK(other.trainer->steps_done() == 1);
    CHECK(other.trainer->history().size() == 1);
    CHECK(bits(state).size() == before.size());
  }
  options.on_nonfinite = OnNonfinite::skip;
  Run skip(options, INFINITY);
  const auto before = skip.weights();
  while (skip.trainer->step()) {
  }
  CHECK(skip.weights() == before);
  CHECK(skip.trainer->history()[0].loss_nonfinite_steps == 5);
  CHECK(std::isnan(skip.trainer->history()[0].train_loss));
  for (const NamedTensor& t : skip.trainer->state())
    if (t.name == "optimizer.clock") CHECK(t.tensor.values()[1] == 0);
  options.on_nonfinite = OnNonfinite::ignore;
  Run ignore(options, INFINITY);
  while (ignore.trainer->step()) {
  }
  CHECK(std::isnan(ignore.weights().back()));
}

TEST_CASE("train: skipped batches do not count in the epoch's loss") {
  const Tensor x = uniform({70, 16}, 1);
  std::vector<float> values = uniform({70, 1}, 2).host<float>();
  values[3] = INFINITY;  // in the first of the batches of 16, 16, 16, 16 and 6 rows
  const Tensor y = Tensor::from(values, {70, 1});
  NetworkConfig config = small_net();
  config.drop_path_max = 0;
  TrainOptions options = some_options();
  options.shuffle = Shuffle::no;
  options.on_nonfinite = OnNonfinite::skip;
  options.schedule = {};
  options.schedule.lr = 0;
  TorchGenerator generator(0);
  const auto still = make_network(config, generator);
  Trainer fixed(*still, {x, y, {}, {}}, options, generator);
  while (!fixed.epoch_ended()) fixed.step();
  const double expected = mse(predict(*still, x.rows(16, 54)), y.rows(16, 54)).value();
  CHECK(fixed.history()[0].train_loss == doctest::Approx(expected).epsilon(1e-6));
  CHECK(fixed.history()[0].loss_nonfinite_steps == 1);

  // Early stopping on the training loss sees the finite batches, also in a continued training.
  options.schedule.lr = 0.01;
  options.epochs = 4;
  const auto net = make_network(config, generator), other = make_network(config, generator);
  Trainer whole(*net, {x, y, {}, {}}, options, generator);
  for (int i = 0; i < 3; ++i) whole.step();
  const NamedTensors saved = whole.state();
  while (whole.step()) {
  }
  CHECK(whole.history().back().train_loss < whole.history()[0].train_loss);
  CHECK(whole.best_epoch().has_value());
  Trainer rest(*other, {x, y, {}, {}}, options, generator);
  rest.set_state(saved);
  while (rest.step()) {
  }
  REQUIRE(rest.history().size() == whole.history().size());
  CHECK(rest.history()[0].train_loss == whole.history()[0].train_loss);
  CHECK(rest.best_epoch() == whole.best_epoch());

  // Without one finite batch no epoch is the best, and patience runs out.
  options.patience = 2;
  const Tensor far = Tensor::full({70, 1}, INFINITY);
  Trainer lost(*net, {x, far, {}, {}}, options, generator);
  while (lost.step()) {
  }
  CHECK(lost.history().size() == 2);
  CHECK(!lost.best_epoch().has_value());
}

TEST_CASE("train: the choices have names, and wrong options are errors") {
  for (auto kind :
       {LossKind::mse, LossKind::l1, LossKind::smooth_l1, LossKind::huber, LossKind::cross_entropy})
    CHECK(parse_loss(name(kind)) == kind);
  for (auto kind : {OptimizerKind::adamw, OptimizerKind::adam, OptimizerKind::sgd})
    CHECK(parse_optimizer(name(kind)) == kind);
  CHECK(parse_on_nonfinite("skip") == OnNonfinite::skip);
  CHECK_THROWS_WITH_AS(parse_on_nonfinite("go"),
                       "on_nonfinite: unknown name 'go' (stop, skip, ignore)", Error);
  CHECK_THROWS_WITH_AS(parse_optimizer("rprop"),
                       "optimizer: unknown name 'rprop' (adamw, adam, sgd)", Error);
  CHECK_THROWS_WITH_AS(parse_loss("hinge"),
                       "loss: unknown name 'hinge' (mse, l1, smooth_l1, huber, cross_entropy)",
                       Error);

  const auto error = [](auto change, TrainData data = {Tensor({4, 16}), Tensor({4, 1}), {}, {}}) {
    TrainOptions options;
    change(options);
    TorchGenerator generator(0);
    const auto net = make_network(small_net(), generator);
    try {
      Trainer trainer(*net, data, options, generator);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const auto nothing = [](TrainOptions&) {};
  CHECK(error([](TrainOptions& o) { o.epochs = 0; }) == "train: epochs below 1 (0)");
  CHECK(error([](TrainOptions& o) { o.epochs = INT64_MAX; }) ==
        "train: epochs above 2^31 (9223372036854775807)");
  CHECK(error([](TrainOptions& o) { o.patience = -1; }) == "train: patience below 0 (-1)");
  CHECK(error([](TrainOptions& o) { o.clip_norm = -1; }) ==
        "train: clip_norm is not a number >= 0");
  CHECK(error([](TrainOptions& o) { o.batch_size = 0; }) == "batches: batch_size below 1 (0)");
  for (double wrong : {0.0, -1.0, double{NAN}, double{INFINITY}}) {
    const std::string message =
        "train: beta or delta of the loss is not a number > 0 (" + std::to_string(wrong) + ")";
    CHECK(error([=](TrainOptions& o) { o.loss.beta = wrong; }) == message);
    CHECK(error([=](TrainOptions& o) { o.loss.delta = wrong; }) == message);
  }
  CHECK(error([](TrainOptions& o) { o.schedule.gamma = -1; }) ==
        "schedule: gamma is not a finite number >= 0 (-1)");
  CHECK(error([](TrainOptions& o) { o.schedule.step_size = 0; }) ==
        "schedule: a count is out of range (step 0, total 25, warmup_steps 0, step_size 0)");
  CHECK(error(nothing) == "");

  const Tensor x({4, 16}), y({4, 1});
  CHECK(error(nothing, {}) == "train: no rows in the training data");
  CHECK(error(nothing, {x, {}, {}, {}}) == "train: rows of the training data differ (x 4, y 0)");
  CHECK(error(nothing, {x, Tensor({3, 1}), {}, {}}) ==
        "train: rows of the training data differ (x 4, y 3)");
  CHECK(error(nothing, {x, y, x, Tensor({5, 1})}) ==
        "train: rows of the validation data differ (x 4, y 5)");
  CHECK(error(nothing, {x, y, Tensor({0, 16}), Tensor({0, 1})}) ==
        "train: no rows in the validation data");
  CHECK(error(nothing, {x, Tensor({4, 2}), {}, {}}) ==
        "train: the training data do not fit: mse: shapes differ: [1, 1] and [1, 2]");
  CHECK(error(nothing, {x, y, x, Tensor({4})}) ==
        "train: the validation data do not fit: mse: shapes differ: [1, 1] and [1]");
  const std::string width = "geo_sparse: input needs shape (..., 4, 4) or (..., 16) (is [1, 15])";
  CHECK(error(nothing, {Tensor({4, 15}), y, {}, {}}) ==
        "train: the training data do not fit: " + width);
  CHECK(error(nothing, {x, y, Tensor({4, 15}), y}) ==
        "train: the validation data do not fit: " + width);
  CHECK(error(nothing, {Tensor({4, 16}), Tensor({4, 1}), Tensor({2, 16}), {}}) ==
        "train: validation needs both x and y");
}

TEST_CASE("train: a state of another training is refused") {
  Run run(some_options());
  run.trainer->step();
  TrainOptions other = some_options();
  other.batch_size = 7;
  Run second(other);
  CHECK_THROWS_WITH_AS(second.trainer->set_state(run.trainer->state()),
                       "train: state is of a training with other rows or batches", Error);
  NamedTensors state = run.trainer->state();
  state.pop_back();
  CHECK_THROWS_WITH_AS(Run(some_options()).trainer->set_state(state),
                       "train: state has no f64 'history'", Error);
}

TEST_CASE("train: a state with a wrong entry is refused and changes nothing") {
  Run run(some_options());
  for (int i = 0; i < 7; ++i) run.trainer->step();
  const NamedTensors good = run.trainer->state();
  Run target(some_options());
  seed_masks(8);
  for (int i = 0; i < 3; ++i) target.trainer->step();
  const auto before = bits(target.trainer->state());
  const auto error = [&](const NamedTensors& state) {
    std::string message;
    try {
      target.trainer->set_state(state);
    } catch (const Error& e) {
      message = e.what();
    }
    CHECK(bits(target.trainer->state()) == before);
    CHECK(target.trainer->steps_done() == 3);
    CHECK(target.trainer->history().empty());
    return message;
  };
  const auto with = [&](const std::string& name, const Tensor& tensor) {
    NamedTensors state = good;
    for (NamedTensor& t : state)
      if (t.name == name) t.tensor = tensor;
    return state;
  };
  REQUIRE(good.size() == 12);
  for (size_t i = 0; i < good.size(); ++i) {
    const std::string name = good[i].name, type = sinew::name(good[i].tensor.dtype());
    INFO(name);
    NamedTensors state = good;
    state.erase(state.begin() + static_cast<int64_t>(i));
    const std::string missing = "train: state has no " + type + " '" + name + "'";
    CHECK(error(state) == missing);
    CHECK(error(with(name, Tensor())) == missing);
    CHECK(error(with(name, Tensor::zeros(good[i].tensor.shape(), DType::u8))) == missing);
    CHECK(error(with(name, Tensor::zeros({3}, good[i].tensor.dtype()))) ==
          "train: state has '" + name + "' [3], not " + good[i].tensor.shape().str());
  }
  const auto changed = [&](const std::string& name, size_t i, double value) {
    for (const NamedTensor& t : good) {
      if (t.name != name) continue;
      std::vector<double> v = t.tensor.values();
      v[i] = value;
      if (t.tensor.dtype() == DType::f64) return with(name, Tensor::from(v, t.tensor.shape()));
      return with(name, Tensor::from(std::vector<int32_t>(v.begin(), v.end()), t.tensor.shape()));
    }
    return good;
  };
  CHECK(error(changed("order", 0, -1)) == "train: state has an 'order' that is not one of 70 rows");
  CHECK(error(changed("generator", 624, 700)) == "set_state: position above 624 (700)");
  CHECK(error(changed("counters", 0, 31)) == "train: state is of a longer training (31 steps)");
  for (size_t i : {0, 5, 6, 7, 8}) {
    CHECK(error(changed("counters", i, -1)) == "train: state has a count out of range (-1.000000)");
    CHECK(error(changed("counters", i, 0.5)) == "train: state has a count out of range (0.500000)");
  }
  CHECK(error(changed("current", 0, 3)) == "train: state has epoch 3 in the place of 2");
  CHECK(error(changed("history", 0, 9)) == "train: state has epoch 9 in the place of 1");
  CHECK(error(changed("counters", 5, 2)) == "train: state has a best epoch to come (2)");
  CHECK(error(changed("current", 0, NAN)) == "train: state has a count out of range (nan)");
  CHECK(error(changed("history", 16, NAN)) == "train: state has a count out of range (nan)");

  CHECK_NOTHROW(target.trainer->set_state(good));
  CHECK(bits(target.trainer->state()) == bits(good));
}

TEST_CASE("predict: batches of rows give the rows of one batch") {
  TorchGenerator generator(0);
  const auto net = make_network(small_net(), generator);
  const Tensor x = uniform({33, 16}, 1);
  CHECK(predict(*net, x, 10).host<float>() == predict(*net, x).host<float>());
  CHECK_THROWS_WITH_AS(predict(*net, x, 0), "predict: rows_at_once below 1 (0)", Error);
  CHECK_THROWS_WITH_AS(predict(*net, Tensor()), "predict: x needs a leading axis of rows", Error);
}
