// One network of a comparison, trained and evaluated. Evaluation draws nothing, so it does not
// change the training. Which epoch is the best is decided without the test rows.
#include <algorithm>
#include <chrono>

#include "sinew/compare.h"
#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Run {
 public:
  Run(Network& net, const ComparisonData& data, const TrainOptions& options)
      : net_(net), data_(data), classifies_(options.loss.kind == LossKind::cross_entropy) {
    for (const Parameter& p : net.parameters())
      memory_before_ -= p.tensor->numel() * static_cast<int64_t>(size_of(p.tensor->dtype()));
    reset_memory_high_water();
    memory_before_ += memory().in_use;
  }

  void after_step(const Trainer& trainer) {
    // Evaluation would count as well: so before the first one, but where an epoch has one step
    // only.
    if (run.curve.empty() && (!trainer.epoch_ended() || trainer.steps_per_epoch() == 1))
      thread_memory_ = memory().high_water - memory_before_;
    const StepTime& time = trainer.last_step();
    run.steps.push_back(time);
    step_s_ += time.data_s + time.compute_s;
    if (trainer.epoch_ended()) after_epoch(trainer);
  }

  void finish(const Trainer& trainer) {
    run.memory_high_water = thread_memory_ + trainer.memory().high_water;
    const TrainData& d = data_.data;
    run.scores.train = score(d.x, d.y);
    if (d.val_x.defined()) run.scores.validation = score(d.val_x, d.val_y);
    run.scores.test = test_score();
  }

  ContenderRun run;

 private:
  Score score(const Tensor& x, const Tensor& y) const {  // y as the training has it
    return score_of(predict(net_, x), classifies_ ? y : data_.unscaled(y));
  }
  Score test_score() const { return score_of(predict(net_, data_.test_x), data_.test_y); }

  Score score_of(const Tensor& prediction, const Tensor& target) const {
    Score s;
    if (classifies_) {
      s.loss = cross_entropy(prediction, target).value();
      s.classes = class_metrics(prediction, target);
    } else {
      s.regression = regression_metrics(data_.unscaled(prediction), target);
      s.loss = s.regression->mse;
    }
    return s;
  }

  void after_epoch(const Trainer& trainer) {
    const auto start = Clock::now();
    const EpochRecord& record = trainer.history().back();
    const Score test = test_score();
    CurvePoint point;
    point.epoch = record.epoch;
    point.train_loss = record.train_loss;
    point.test_loss = test.loss;
    if (test.classes) point.test_accuracy = test.classes->accuracy;
    point.val_accuracy = record.val_accuracy;
    if (record.val_loss) point.val_loss = classifies_ ? *record.val_loss : record.val_metrics->mse;
    run.curve.push_back(point);
    run.grad_norm_max = std::max(run.grad_norm_max, record.grad_norm_max);
    run.loss_nonfinite_steps += record.loss_nonfinite_steps;
    run.grad_nonfinite_steps += record.grad_nonfinite_steps;
    if (record.improved) {
      run.best_epoch = record.epoch;
      run.best_test = test;
      if (data_.data.val_x.defined())
        run.best_validation = score(data_.data.val_x, data_.data.val_y);
    }
    run.evaluation_s += seconds_since(start) + std::max(0.0, record.time_s - step_s_);
    step_s_ = 0;
  }

  Network& net_;
  const ComparisonData& data_;
  bool classifies_;
  int64_t memory_before_ = 0;  // of other things
  int64_t thread_memory_ = 0;  // of the thread's pool; recorded steps have pools of their own
  double step_s_ = 0;          // of the running epoch
};

}  // namespace

ContenderRun run_contender(Network& net, const ComparisonData& data, const TrainOptions& options,
                           TorchGenerator& generator,
                           const std::function<void(const Trainer&)>& after_step) {
  if (options.loss.kind != LossKind::mse && options.loss.kind != LossKind::cross_entropy)
    throw Error("run_contender: the loss must be mse or cross_entropy (" +
                std::string(name(options.loss.kind)) + ")");
  Run run(net, data, options);
  const auto start = Clock::now();
  Trainer trainer(net, data.data, options, generator);
  while (trainer.step()) {
    run.after_step(trainer);
    if (after_step) after_step(trainer);
  }
  run.run.total_s = seconds_since(start);
  run.finish(trainer);
  return std::move(run.run);
}

}  // namespace sinew
