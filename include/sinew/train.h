// Training a network: epochs over batches with schedule, clipping, validation, early stopping and
// checkpoints.
//
//     Trainer trainer(*net, {x, y}, {.epochs = 25, .batch_size = 256}, generator);
//     fit(trainer, {.checkpoint = "run.safetensors",
//                   .after_epoch = [](const Trainer& t) { show(t.history().back()); }});
//     double test = mse(predict(*net, test_x), test_y).value();
//
// The order of draws is that of a PyTorch loop with a shuffling DataLoader, so with the same seed
// and data the losses are the reference's. A Trainer that is given the state of another one goes on
// to the same bits:  trainer.set_state(read_safetensors("run.safetensors"));
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sinew/data.h"
#include "sinew/metrics.h"
#include "sinew/nn.h"
#include "sinew/optim.h"

namespace sinew {

enum class LossKind : uint8_t { mse, l1, smooth_l1, huber, cross_entropy };
const char* name(LossKind kind);
LossKind parse_loss(const std::string& text);
struct Loss {
  LossKind kind = LossKind::mse;
  double beta = 1;   // smooth_l1; a training needs > 0
  double delta = 1;  // huber; likewise
  // Mean over the batch; target f32 of the prediction's shape, or labels i32 for cross_entropy.
  Tensor operator()(const Tensor& prediction, const Tensor& target) const;
};

enum class OptimizerKind : uint8_t { adamw, adam, sgd };
const char* name(OptimizerKind kind);
OptimizerKind parse_optimizer(const std::string& text);

enum class Shuffle : uint8_t { yes, no };
// OnNonfinite (ops.h): `stop` ends the training with an Error, the weights those before the step.
const char* name(OnNonfinite choice);
OnNonfinite parse_on_nonfinite(const std::string& text);
enum class Recording : uint8_t { off, on };  // of steps (step.h); the bits are the same

struct TrainOptions {
  int64_t epochs = 25;
  int64_t batch_size = 128;
  OptimizerKind optimizer = OptimizerKind::adamw;
  AdamOptions adam = {};   // betas, eps, weight decay of adamw and adam
  SgdOptions sgd = {};     // momentum, weight decay of sgd
  Schedule schedule = {};  // the learning rate
  Loss loss = {};
  Shuffle shuffle = Shuffle::yes;
  double clip_norm = 0;  // 0: no clipping
  OnNonfinite on_nonfinite = OnNonfinite::stop;
  // > 0: stops after so many epochs in a row without a smaller validation loss (training loss
  // without validation data); the weights of the best epoch are put back at the end.
  int64_t patience = 0;
  Recording recording = Recording::on;
};

struct TrainData {
  Tensor x, y;                    // rows along the leading axis
  Tensor val_x = {}, val_y = {};  // undefined without validation
  // What y and val_y were scaled by: metrics are of the values before.
  std::optional<Scaler> y_scaler = std::nullopt;
};

struct EpochRecord {
  int64_t epoch = 0;  // from 1
  // Mean of the batch losses, weighted by rows; without the batches that OnNonfinite::skip left out
  // (NaN if it left out all).
  double train_loss = 0;
  std::optional<double> val_loss;
  std::optional<RegressionMetrics> val_metrics;  // with validation data, not for cross_entropy
  std::optional<double> val_accuracy;            // for cross_entropy
  double lr = 0;                                 // of the epoch's last step
  double time_s = 0, step_time_ms_median = 0, samples_per_sec = 0;
  double grad_norm_mean = 0, grad_norm_max = 0;  // of the finite ones, before clipping
  int64_t loss_nonfinite_steps = 0, grad_nonfinite_steps = 0;
  bool improved = false;  // the best epoch so far
};

// The host's clock around one step. On cuda steps that nobody waited for share their time evenly.
struct StepTime {
  double data_s = 0;     // a new order of rows, their upload
  double compute_s = 0;  // the batch's rows, forward, backward, update
  // Not one of the first calls with this number of rows, which run eagerly and record.
  bool warm = false;
};

class Trainer {
 public:
  // Rebinds the network's parameters to one flat block. Throws for options out of range and data
  // that do not fit together: the loss is tried on the first row of each part. `generator` draws
  // the batch orders; net and generator must outlive it.
  Trainer(Network& net, TrainData data, const TrainOptions& options, TorchGenerator& generator);
  ~Trainer();

  // The next optimizer step; after the last one of an epoch also validation and the record. False
  // when there is nothing left to do: then the best weights are in the network. On cuda nobody
  // waits for a step but the last one of an epoch: an error of OnNonfinite::stop, which names its
  // step, then comes there, or from last_step() or state(), with the weights before that step;
  // until then steps_done() counts the steps after it too, and masks drawn by them stay drawn.
  bool step();
  bool epoch_ended() const;  // the last step() ended an epoch: history().back() is new
  int64_t steps_done() const;
  int64_t steps_per_epoch() const;
  const StepTime& last_step() const;  // waits for it
  MemoryStats memory() const;  // of the recorded steps' own pools, beside the thread's (device.h)
  const std::vector<EpochRecord>& history() const;
  std::optional<int64_t> best_epoch() const;

  // Copies of everything that the rest of the training depends on, at any step.
  NamedTensors state() const;
  // Throws, and changes nothing, if an entry is missing or has not the dtype and shape that it has
  // in this training's state(), or if a count or the order of rows is out of range. A state of
  // fewer epochs is continued to this training's.
  void set_state(const NamedTensors& state);

 private:
  static void check(const Network& net, const TrainData& data, const TrainOptions& options);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct FitOptions {
  // Where state() is written as safetensors: after epochs, at the end, and when `stop` ends the
  // training. A kill at any moment leaves the last one whole. Empty: nowhere.
  std::string checkpoint = {};
  // Epochs between checkpoints; 0: after every epoch, but not within a second of the last one.
  int64_t checkpoint_every = 0;
  std::function<void(const Trainer&)> after_step = {}, after_epoch = {}, after_checkpoint = {};
  std::function<bool()> stop = {};  // asked after every step; true ends the training there
};
// Steps until nothing is left to do: true; or until `stop` asks for an end: false. After a
// step its callbacks run in the order step, checkpoint if one is due, epoch; then `stop`. Throws
// what step() and the callbacks throw, and if a checkpoint cannot be written or checkpoint_every is
// negative.
bool fit(Trainer& trainer, const FitOptions& options = {});

// A list of objects, one line per epoch; NaN and infinity are null, as is what was not measured.
std::string to_json(const std::vector<EpochRecord>& history);

// The network's outputs for rows of x, in eval mode, so many rows at once.
Tensor predict(const Network& net, const Tensor& x, int64_t rows_at_once = 4096);

}  // namespace sinew
