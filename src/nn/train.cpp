// The training loop as a state machine: step() runs one batch, so that a caller can write a
// checkpoint, show progress or stop between any two steps. A batch is one recorded Step: rows,
// gradients, tally, update. Whether a step counts, is skipped or ends the training is decided by
// the kernels; on a GPU the host reads the tally once per epoch, or when it is asked for it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "nn/trainer.h"
#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

using Clock = std::chrono::steady_clock;
double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}
double seconds_since(Clock::time_point start) { return seconds(start, Clock::now()); }

std::unique_ptr<Optimizer> make_optimizer(const ParameterBlock& block, const TrainOptions& o) {
  AdamOptions adam = o.adam;
  SgdOptions sgd = o.sgd;
  adam.lr = sgd.lr = o.schedule.lr;
  switch (o.optimizer) {
    case OptimizerKind::adamw: return std::make_unique<AdamW>(block, adam);
    case OptimizerKind::adam: return std::make_unique<Adam>(block, adam);
    case OptimizerKind::sgd: return std::make_unique<Sgd>(block, sgd);
  }
  return nullptr;
}

}  // namespace

Trainer::Impl::Impl(Network& network, TrainData given, const TrainOptions& o, TorchGenerator& g)
    : net(network),
      data(std::move(given)),
      options(o),
      generator(g),
      block(network.parameters()),
      optimizer(make_optimizer(block, o)),
      batches(data.x, data.y, o.batch_size),
      step([this](const std::vector<Tensor>& given_rows) { return one_step(given_rows); }),
      patience_left(o.patience) {
  if (o.patience > 0) best_values = copied(block.values);
}

std::vector<Tensor> Trainer::Impl::one_step(const std::vector<Tensor>& rows) {
  const Batch batch = batches.of(rows);
  Tape tape;
  block.watch(tape);
  const Tensor loss = options.loss(net(batch.x, Mode::train), batch.y);
  block.backward(tape, loss);
  const bool clips = options.clip_norm > 0;
  const Tensor norm = clips ? clip_gradients(block, options.clip_norm) : gradient_norm(block);
  tally_update(tally, loss, norm, batch.x.dim(0), options.on_nonfinite);
  optimizer->step(tally.view(0, {1}));
  return {};
}

void Trainer::Impl::begin_epoch() {
  former = std::exchange(current, EpochRecord());
  former_ms.swap(step_ms);
  current.epoch = done / batches.count() + 1;
  finite_norms = loss_rows = 0;
  tally.assign(std::vector<double>{1, 0, 0, 0, 0, 0, 0, 0, 0});
  step_ms.clear();
  step_ms.reserve(static_cast<size_t>(batches.count()));
  if (options.shuffle == Shuffle::yes) batches.shuffle(generator);
}

void Trainer::Impl::run_batch() {
  const int64_t in_epoch = done % batches.count();
  const auto start = Clock::now();
  if (in_epoch == 0) begin_epoch();
  batches.select(in_epoch, selection);
  const auto have_data = Clock::now();
  current.lr = options.schedule.at(done, options.epochs * batches.count());
  optimizer->set_lr(current.lr);
  const int64_t rows = selection[0].dim(0);
  const bool records = options.recording == Recording::on;
  if (records)
    step(selection);
  else
    one_step(selection);
  const int64_t calls_before = calls[rows]++;
  const auto end = Clock::now();
  last_step = {seconds(start, have_data), seconds(have_data, end),
               calls_before >= (records ? 2 : 1)};
  step_ms.push_back(1e3 * seconds(start, end));
  current.time_s += seconds(start, end);
  ++done;
  ++waiting;
  if (device() == Device::cpu || in_epoch + 1 == batches.count()) wait();
}

// The steps that nobody waited for share their time evenly: of a GPU the host knows no more.
void Trainer::Impl::wait() {
  if (waiting == 0) return;
  const auto start = Clock::now();
  const bool stopped =
      tally.view(0, {1}).item<double>() == 0 && options.on_nonfinite == OnNonfinite::stop;
  const double waited = seconds_since(start);
  const auto first = step_ms.end() - std::exchange(waiting, 0);
  const double each = std::accumulate(first, step_ms.end(), 1e3 * waited) /
                      static_cast<double>(step_ms.end() - first);
  std::fill(first, step_ms.end(), each);
  current.time_s += waited;
  last_step.compute_s = 1e-3 * each - last_step.data_s;
  if (!stopped) return;
  const auto steps = static_cast<int64_t>(tally.view(1, {1}).item<double>());
  done = (current.epoch - 1) * batches.count() + steps;
  step_ms.resize(static_cast<size_t>(steps));
  collect();
  const EpochRecord stopped_in = current;
  if (steps == 0) {
    current = former;
    step_ms.swap(former_ms);
  }
  tally.view(0, {1}).assign(1.0);
  throw Error("train: loss or gradient is not finite (epoch " + std::to_string(stopped_in.epoch) +
              ", step " + std::to_string(steps + 1) + ")");
}

void Trainer::Impl::collect() {
  const std::vector<double> t = tally.host<double>();
  current.train_loss = t[2];
  loss_rows = static_cast<int64_t>(t[3]);
  current.loss_nonfinite_steps = static_cast<int64_t>(t[4]);
  current.grad_nonfinite_steps = static_cast<int64_t>(t[5]);
  current.grad_norm_mean = t[6];
  current.grad_norm_max = t[7];
  finite_norms = static_cast<int64_t>(t[8]);
}

void Trainer::Impl::validate() {
  const Tensor prediction = predict(net, data.val_x);
  current.val_loss = options.loss(prediction, data.val_y).value();
  if (options.loss.kind == LossKind::cross_entropy) {
    const auto answers = argmax(prediction).host<int32_t>(), labels = data.val_y.host<int32_t>();
    double right = 0;
    for (size_t i = 0; i < labels.size(); ++i) right += answers[i] == labels[i];
    current.val_accuracy = right / static_cast<double>(labels.size());
    return;
  }
  const auto unscaled = [&](const Tensor& y) {
    return data.y_scaler ? data.y_scaler->invert(y) : y;
  };
  current.val_metrics = regression_metrics(unscaled(prediction), unscaled(data.val_y));
}

void Trainer::Impl::end_epoch() {
  const auto start = Clock::now();
  collect();
  current.train_loss /= static_cast<double>(loss_rows);  // 0 / 0 if all batches were skipped
  current.samples_per_sec = static_cast<double>(batches.rows()) / current.time_s;
  if (finite_norms > 0) current.grad_norm_mean /= static_cast<double>(finite_norms);
  std::nth_element(step_ms.begin(), step_ms.begin() + static_cast<int64_t>(step_ms.size() / 2),
                   step_ms.end());
  current.step_time_ms_median = step_ms[step_ms.size() / 2];
  if (data.val_x.defined()) validate();
  const double metric = current.val_loss.value_or(current.train_loss);
  current.improved = metric + 1e-12 < best;
  if (current.improved) {
    best = metric;
    best_epoch = current.epoch;
    patience_left = options.patience;
    if (options.patience > 0) best_values.assign(block.values);
  } else if (patience_left > 0) {
    --patience_left;
  }
  current.time_s += seconds_since(start);
  history.push_back(current);
  ended = true;
  finished =
      done == options.epochs * batches.count() || (options.patience > 0 && patience_left == 0);
  if (finished && options.patience > 0 && best_epoch > 0) block.values.assign(best_values);
}

Trainer::Trainer(Network& net, TrainData data, const TrainOptions& options,
                 TorchGenerator& generator) {
  check(net, data, options);
  impl_ = std::make_unique<Impl>(net, std::move(data), options, generator);
}
Trainer::~Trainer() = default;

bool Trainer::step() {
  impl_->ended = false;
  if (impl_->finished) return false;
  impl_->run_batch();
  if (impl_->done % impl_->batches.count() == 0) impl_->end_epoch();
  return true;
}

bool Trainer::epoch_ended() const { return impl_->ended; }
int64_t Trainer::steps_done() const { return impl_->done; }
int64_t Trainer::steps_per_epoch() const { return impl_->batches.count(); }
const StepTime& Trainer::last_step() const {
  impl_->wait();
  return impl_->last_step;
}
MemoryStats Trainer::memory() const { return impl_->step.memory(); }
const std::vector<EpochRecord>& Trainer::history() const { return impl_->history; }
std::optional<int64_t> Trainer::best_epoch() const {
  return impl_->best_epoch > 0 ? std::optional(impl_->best_epoch) : std::nullopt;
}

bool fit(Trainer& trainer, const FitOptions& o) {
  if (o.checkpoint_every < 0)
    throw Error("fit: checkpoint_every below 0 (" + std::to_string(o.checkpoint_every) + ")");
  Clock::time_point last = Clock::now();
  bool saved = false;
  const auto save = [&] {
    if (!o.checkpoint.empty()) write_safetensors(o.checkpoint, trainer.state());
    if (o.after_checkpoint) o.after_checkpoint(trainer);
    saved = true;
    last = Clock::now();
  };
  while (trainer.step()) {
    saved = false;
    if (o.after_step) o.after_step(trainer);
    if (trainer.epoch_ended()) {
      const bool due = o.checkpoint_every > 0
                           ? trainer.history().back().epoch % o.checkpoint_every == 0
                           : seconds_since(last) > 1;
      if (due) save();
      if (o.after_epoch) o.after_epoch(trainer);
    }
    if (!o.stop || !o.stop()) continue;
    if (!saved) save();
    return false;
  }
  if (!saved) save();
  return true;
}

}  // namespace sinew
