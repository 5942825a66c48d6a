// The training loop as a state machine: step() runs one batch, so that a caller can write a
// checkpoint, show progress or stop between any two steps. Gradients and update are two recorded
// Steps; between them the host looks at loss and norm to count, skip or stop.
#include <algorithm>
#include <chrono>
#include <cmath>

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
      gradients([this](const std::vector<Tensor>& batch) { return forward_backward(batch); }),
      update([this](const std::vector<Tensor>&) {
        optimizer->step();
        return std::vector<Tensor>();
      }),
      patience_left(o.patience) {
  if (o.patience > 0) best_values = copied(block.values);
}

std::vector<Tensor> Trainer::Impl::forward_backward(const std::vector<Tensor>& batch) {
  Tape tape;
  block.watch(tape);
  const Tensor loss = options.loss(net(batch[0], Mode::train), batch[1]);
  block.backward(tape, loss);
  const bool clips = options.clip_norm > 0;
  return {loss.detach(), clips ? clip_gradients(block, options.clip_norm) : gradient_norm(block)};
}

void Trainer::Impl::run_batch() {
  const int64_t in_epoch = done % batches.count();
  if (in_epoch == 0) {
    current = EpochRecord();
    current.epoch = done / batches.count() + 1;
    finite_norms = loss_rows = 0;
    step_ms.clear();
  }
  const auto start = Clock::now();
  if (in_epoch == 0 && options.shuffle == Shuffle::yes) batches.shuffle(generator);
  const Batch batch = batches[in_epoch];
  const auto have_data = Clock::now();
  current.lr = options.schedule.at(done, options.epochs * batches.count());
  optimizer->set_lr(current.lr);
  const bool records = options.recording == Recording::on;
  const std::vector<Tensor> inputs = {batch.x, batch.y},
                            out = records ? gradients(inputs) : forward_backward(inputs);
  const double loss = out[0].value(), norm = out[1].value();
  const bool finite = std::isfinite(loss) && std::isfinite(norm);
  if (!finite && options.on_nonfinite == OnNonfinite::stop)
    throw Error("train: loss or gradient is not finite (epoch " + std::to_string(current.epoch) +
                ", step " + std::to_string(in_epoch + 1) + ")");
  if (finite || options.on_nonfinite == OnNonfinite::ignore) {
    if (records)
      update({});
    else
      optimizer->step();
    current.train_loss += loss * static_cast<double>(batch.x.dim(0));
    loss_rows += batch.x.dim(0);
  }
  current.loss_nonfinite_steps += !std::isfinite(loss);
  current.grad_nonfinite_steps += !std::isfinite(norm);
  if (std::isfinite(norm)) {
    current.grad_norm_mean += norm;
    current.grad_norm_max = std::max(current.grad_norm_max, norm);
    ++finite_norms;
  }
  const auto end = Clock::now();
  const int64_t calls_before = calls[batch.x.dim(0)]++;
  last_step = {seconds(start, have_data), seconds(have_data, end),
               calls_before >= (records ? 2 : 1)};
  step_ms.push_back(1e3 * seconds(start, end));
  current.time_s += seconds(start, end);
  ++done;
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
const StepTime& Trainer::last_step() const { return impl_->last_step; }
MemoryStats Trainer::memory() const {
  const MemoryStats a = impl_->gradients.memory(), b = impl_->update.memory();
  return {a.in_use + b.in_use, a.high_water + b.high_water, a.reserved + b.reserved};
}
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
