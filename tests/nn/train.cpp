#include <doctest/doctest.h>

#include <cmath>

#include "sinew/error.h"
#include "sinew/train.h"

using namespace sinew;

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

Tensor uniform(const Shape& shape, int64_t seed) {
  NumpyGenerator generator(seed);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = static_cast<float>(generator.uniform(-1, 1));
  return Tensor::from(values, shape);
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

TEST_CASE("train: a training continued from the state at any step ends with the same bits") {
  Run whole(some_options());
  while (whole.trainer->step()) {
  }
  for (int64_t at : {0, 1, 4, 5, 7, 13}) {
    Run first(some_options());
    for (int64_t i = 0; i < at; ++i) first.trainer->step();
    NamedTensors saved;
    for (const NamedTensor& t : first.trainer->state()) {  // a copy, as a file would be
      saved.push_back({t.name, Tensor(t.tensor.shape(), t.tensor.dtype())});
      saved.back().tensor.assign(t.tensor);
    }
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
  options.on_nonfinite = OnNonfinite::skip;
  Run skip(options, INFINITY);
  const auto before = skip.weights();
  while (skip.trainer->step()) {
  }
  CHECK(skip.weights() == before);
  CHECK(skip.trainer->history()[0].loss_nonfinite_steps == 5);
  options.on_nonfinite = OnNonfinite::ignore;
  Run ignore(options, INFINITY);
  while (ignore.trainer->step()) {
  }
  CHECK(std::isnan(ignore.weights().back()));
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
  CHECK(error([](TrainOptions& o) { o.patience = -1; }) == "train: patience below 0 (-1)");
  CHECK(error([](TrainOptions& o) { o.clip_norm = -1; }) ==
        "train: clip_norm is not a number >= 0");
  CHECK(error([](TrainOptions& o) { o.batch_size = 0; }) == "batches: batch_size below 1 (0)");
  CHECK(error(nothing, {}) == "train: no rows to train on");
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
  state.push_back({"history", Tensor::zeros({5}, DType::f64)});
  CHECK_THROWS_WITH_AS(Run(some_options()).trainer->set_state(state),
                       "train: state has counters of another version", Error);
}

TEST_CASE("predict: batches of rows give the rows of one batch") {
  TorchGenerator generator(0);
  const auto net = make_network(small_net(), generator);
  const Tensor x = uniform({33, 16}, 1);
  CHECK(predict(*net, x, 10).host<float>() == predict(*net, x).host<float>());
  CHECK_THROWS_WITH_AS(predict(*net, x, 0), "predict: rows_at_once below 1 (0)", Error);
  CHECK_THROWS_WITH_AS(predict(*net, Tensor()), "predict: x needs a leading axis of rows", Error);
}
