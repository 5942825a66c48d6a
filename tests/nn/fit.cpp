#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "nn/files.h"
#include "nn/uniform.h"
#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/ops.h"
#include "sinew/train.h"

using namespace sinew;
using test::uniform;

namespace {

// 70 rows in batches of 16: five steps an epoch. The masks are one stream per thread, which a new
// Run starts anew: train it before the next one is made.
struct Run {
  TorchGenerator generator{0};
  std::unique_ptr<Network> net;
  std::unique_ptr<Trainer> trainer;

  explicit Run(TrainOptions options = {.epochs = 4}) {
    NetworkConfig config;
    config.connectivity.shape = {4, 4};
    config.depth = 2;
    config.drop_path_max = 0.2;
    options.batch_size = 16;
    seed_masks(3);
    net = make_network(config, generator);
    const TrainData data{uniform({70, 16}, 1), uniform({70, 1}, 2), uniform({9, 16}, 3),
                         uniform({9, 1}, 4)};
    trainer = std::make_unique<Trainer>(*net, data, options, generator);
  }
  std::vector<std::vector<double>> weights() const {
    std::vector<std::vector<double>> out;
    for (const Parameter& p : net->parameters()) out.push_back(p.tensor->values());
    return out;
  }
};

}  // namespace

TEST_CASE("fit: callbacks see every step and epoch, the epoch's after its checkpoint") {
  const test::Folder folder;
  const std::string file = folder / "run.safetensors";
  Run run;
  std::vector<int64_t> steps, epochs;
  const bool finished =
      fit(*run.trainer, {.checkpoint = file,
                         .checkpoint_every = 1,
                         .after_step = [&](const Trainer& t) { steps.push_back(t.steps_done()); },
                         .after_epoch =
                             [&](const Trainer& t) {
                               epochs.push_back(t.history().back().epoch);
                               Run other;
                               other.trainer->set_state(read_safetensors(file));
                               CHECK(other.trainer->steps_done() == t.steps_done());
                             }});
  CHECK(finished);
  CHECK(steps.size() == 20);
  CHECK(steps.back() == 20);
  CHECK(epochs == std::vector<int64_t>{1, 2, 3, 4});
}

TEST_CASE("fit: stopped after any step and continued from the file, it ends with the same bits") {
  Run whole;
  CHECK(fit(*whole.trainer));
  for (const int64_t last : {1, 5, 7, 19}) {
    const test::Folder folder;
    const std::string file = folder / "run.safetensors";
    Run first;
    CHECK_FALSE(fit(*first.trainer, {.checkpoint = file, .checkpoint_every = 100, .stop = [&] {
                                       return first.trainer->steps_done() == last;
                                     }}));
    Run second;
    second.trainer->set_state(read_safetensors(file));
    CHECK(second.trainer->steps_done() == last);
    CHECK(fit(*second.trainer, {.checkpoint = file, .checkpoint_every = 100}));
    CHECK(second.weights() == whole.weights());
    Run third;  // the state at the end: nothing is left to do
    third.trainer->set_state(read_safetensors(file));
    CHECK_FALSE(third.trainer->step());
    CHECK(third.weights() == whole.weights());
  }
}

TEST_CASE("fit: checkpoints after every so many epochs") {
  const test::Folder folder;
  const std::string file = folder / "run.safetensors";
  Run run;
  std::vector<bool> there;
  fit(*run.trainer, {.checkpoint = file, .checkpoint_every = 2, .after_epoch = [&](const Trainer&) {
                       there.push_back(std::filesystem::exists(file));
                       std::filesystem::remove(file);
                     }});
  CHECK(there == std::vector<bool>{false, true, false, true});
  CHECK_THROWS_WITH_AS(fit(*run.trainer, {.checkpoint_every = -1}),
                       "fit: checkpoint_every below 0 (-1)", Error);
  CHECK_THROWS_AS(fit(*Run().trainer, {.checkpoint = folder / "none/run.safetensors"}), Error);
}

TEST_CASE("fit: by default short epochs share a checkpoint, the last one at the end") {
  Run run;
  std::vector<int64_t> saved;
  fit(*run.trainer,
      {.after_checkpoint = [&](const Trainer& t) { saved.push_back(t.steps_done()); }});
  CHECK(saved == std::vector<int64_t>{20});
}

TEST_CASE("fit: a state of fewer epochs is continued") {
  Run whole;
  fit(*whole.trainer);
  Run first({.epochs = 2});
  fit(*first.trainer);
  const NamedTensors saved = first.trainer->state();
  Run second;
  second.trainer->set_state(saved);
  CHECK(fit(*second.trainer));
  CHECK(second.trainer->history().size() == 4);
  CHECK(second.weights() == whole.weights());
}

TEST_CASE("fit: without recording the bits are the same") {
  Run recorded;
  fit(*recorded.trainer);
  Run eager({.epochs = 4, .recording = Recording::off});
  fit(*eager.trainer);
  CHECK(recorded.weights() == eager.weights());
}

TEST_CASE("fit: validation metrics are of values before scaling") {
  const Scaler scaler{Tensor::from(std::vector<float>{3}, {1}),
                      Tensor::from(std::vector<float>{10}, {1})};
  TorchGenerator generator(0);
  NetworkConfig config;
  config.connectivity.shape = {4, 4};
  const auto net = make_network(config, generator);
  const Tensor x = uniform({20, 16}, 1), y = uniform({20, 1}, 2);
  Trainer trainer(*net, {x, y, x, y, scaler}, {.epochs = 2}, generator);
  fit(trainer);
  const EpochRecord& last = trainer.history().back();
  REQUIRE(last.val_metrics);
  CHECK(last.val_metrics->mse == doctest::Approx(100 * *last.val_loss).epsilon(1e-5));
  const RegressionMetrics expected =
      regression_metrics(scaler.invert(predict(*net, x)), scaler.invert(y));
  CHECK(last.val_metrics->mse == expected.mse);
  CHECK(last.val_metrics->smape == expected.smape);
  CHECK_FALSE(last.val_accuracy);
}

TEST_CASE("fit: accuracy of a classifier") {
  TorchGenerator generator(0);
  NetworkConfig config;
  config.connectivity.shape = {4, 4};
  config.output_dim = 3;
  const auto net = make_network(config, generator);
  const Tensor x = uniform({4, 16}, 1), y = Tensor::from(std::vector<int32_t>{0, 1, 2, 1}, {4});
  TrainOptions options{.epochs = 1};
  options.loss.kind = LossKind::cross_entropy;
  Trainer trainer(*net, {x, y, x, y}, options, generator);
  fit(trainer);
  const auto answers = argmax(predict(*net, x)).host<int32_t>();
  const double right =
      (answers[0] == 0) + (answers[1] == 1) + (answers[2] == 2) + (answers[3] == 1);
  CHECK(trainer.history()[0].val_accuracy == right / 4);
  CHECK_FALSE(trainer.history()[0].val_metrics);
  Trainer copy(*net, {x, y, x, y}, options, generator);
  copy.set_state(trainer.state());
  CHECK(to_json(copy.history()) == to_json(trainer.history()));
}

TEST_CASE("fit: history as JSON") {
  CHECK(to_json(std::vector<EpochRecord>{}) == "[]\n");
  EpochRecord r;
  r.epoch = 1;
  r.train_loss = 0.5;
  r.lr = 1e-3;
  EpochRecord second = r;
  second.val_loss = 0.25;
  second.val_metrics = RegressionMetrics{1, 2, 3, 4, NAN};
  CHECK(to_json({r, second}) ==
        "[\n  {\"epoch\": 1, \"train_loss\": 0.5, \"val_loss\": null, \"lr\": 0.001, "
        "\"time_s\": 0, \"step_time_ms_median\": 0, \"samples_per_sec\": 0, \"grad_norm_mean\": 0, "
        "\"grad_norm_max\": 0, \"loss_nonfinite_steps\": 0, \"grad_nonfinite_steps\": 0, "
        "\"improved\": false},\n  {\"epoch\": 1, \"train_loss\": 0.5, \"val_loss\": 0.25, "
        "\"val_mse\": 1, \"val_rmse\": 2, \"val_mae\": 3, \"val_smape\": 4, \"val_r2\": null, "
        "\"lr\": 0.001, \"time_s\": 0, \"step_time_ms_median\": 0, \"samples_per_sec\": 0, "
        "\"grad_norm_mean\": 0, \"grad_norm_max\": 0, \"loss_nonfinite_steps\": 0, "
        "\"grad_nonfinite_steps\": 0, \"improved\": false}\n]\n");
}
