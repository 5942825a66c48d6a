// Each flag with its default and unit. Ranges are checked by the library's own errors
// (TrainOptions, Schedule, optimizers); here only what it cannot see: names and combinations.
#include "train_flags.h"

#include <array>
#include <charconv>

#include "sinew/error.h"

namespace sinew::tools {
namespace {

constexpr const char* curves[] = {"constant", "linear", "cosine", "step"};

Curve parse_curve(const std::string& text) {
  for (int i = 0; i < 4; ++i)
    if (text == curves[i]) return static_cast<Curve>(i);
  throw Error("schedule: unknown name '" + text + "' (constant, linear, cosine, step)");
}

std::array<double, 2> two_numbers(const std::string& flag, const std::string& text) {
  std::array<double, 2> out;
  const char *at = text.data(), *end = at + text.size();
  for (size_t i = 0; i < 2; ++i) {
    const auto [next, error] = std::from_chars(at, end, out[i]);
    const bool right = i == 0 ? next != end && *next == ',' : next == end;
    if (error != std::errc() || !right)
      throw Error(flag + " needs two numbers, like 0.9,0.999 (" + text + ")");
    at = next + 1;
  }
  return out;
}

}  // namespace

const char* name(Curve curve) { return curves[static_cast<int>(curve)]; }

void TrainFlags::add_to(Flags& flags) {
  const char* group = "Training";
  const auto value = [&](const char* name, auto& variable, const char* what) {
    return flags.add(name, variable, what).group(group);
  };
  const auto number = [&](const char* name, int64_t& variable, const char* what) {
    value(name, variable, what).whole_number();
  };
  number("--epochs", epochs_, "passes over the training rows");
  number("--batch-size", batch_size_, "rows per step; the last batch of an epoch may be smaller");
  value("--lr", lr_, "learning rate");
  value("--weight-decay", weight_decay_, "decoupled for adamw, L2 for adam and sgd");
  number("--seed", seed, "of initial weights, then the order of rows; of the validation split");
  value("--optimizer", optimizer_, "adamw, adam or sgd");
  value("--betas", betas_, "of adamw and adam");
  value("--eps", eps_, "of adamw and adam");
  value("--momentum", momentum_, "of sgd");
  value("--schedule", curve_, "learning rate over the steps: constant, linear, cosine or step");
  number("--warmup-steps", warmup_steps_, "steps over which the learning rate rises first");
  value("--lr-min", lr_min_, "last learning rate of linear and cosine");
  number("--step-size", step_size_, "schedule step: multiplies by gamma every so many steps");
  value("--gamma", gamma_, "factor of schedule step");
  value("--loss", loss_,
        "mse, l1, smooth_l1, huber or cross_entropy; default: cross_entropy for an "
        "integer target, else mse");
  value("--loss-beta", beta_, "of smooth_l1, in units of the target");
  value("--loss-delta", delta_, "of huber, in units of the target");
  value("--clip-norm", clip_norm_, "largest gradient norm; 0: no clipping");
  value("--on-nonfinite", on_nonfinite_, "loss or gradient not finite: stop, skip or ignore");
  flags
      .add_switch(
          "early-stopping", early_stopping_,
          "stop without improvement of the validation loss, else the training loss, and keep "
          "the best epoch's weights")
      .group(group);
  number("--patience", patience_, "epochs without improvement before the stop");
  flags.add_switch("shuffle", shuffle_, "another order of rows in each epoch").group(group);
  add_data_and_files(flags);
}

void TrainFlags::add_data_and_files(Flags& flags) {
  const char* data = "Validation and scaling";
  const Flag fraction =
      flags
          .add("--val-fraction", val_fraction, "share of the rows that is split off for validation")
          .group(data);
  const Flag file = flags.add("--val-data", val_data, "validation inputs: NPY, IDX or CSV")
                        .excludes(fraction)
                        .group(data);
  flags.add("--val-target", val_target, "validation targets").needs(file).group(data);
  flags.add_switch("scale-x", scale_x, "inputs to mean 0, deviation 1 of the training rows")
      .group(data);
  flags.add_switch("scale-y", scale_y, "the same for targets; predictions are scaled back")
      .group(data);
  const char* files = "Files";
  flags.add("--out", out, "folder for the model, its history and checkpoints")
      .required()
      .group(files);
  flags.add("--init", init, "safetensors with the initial weights").group(files);
  flags.add_switch("strict", strict, "refuse tensors in --init that the network does not have")
      .group(files);
  flags
      .add("--checkpoint-every", checkpoint_every,
           "epochs between checkpoints; default: 1, but not within a second of the last one")
      .above_zero()
      .group(files);
  const Flag resumes =
      flags.add("--resume", resume, "go on from the checkpoint in --out, if there is one")
          .group(files);
  flags.add("--overwrite", overwrite, "replace the run in --out").excludes(resumes).group(files);
}

TrainOptions TrainFlags::options(const RunFlags& run, bool integer_target) const {
  TrainOptions o;
  const auto [beta1, beta2] = two_numbers("--betas", betas_);
  if (!(val_fraction >= 0 && val_fraction < 1))
    throw Error("--val-fraction outside [0, 1) (" + std::to_string(val_fraction) + ")");
  o.epochs = epochs_;
  o.batch_size = batch_size_;
  o.optimizer = parse_optimizer(optimizer_);
  o.adam = {lr_, beta1, beta2, eps_, weight_decay_};
  o.sgd = {lr_, momentum_, weight_decay_};
  o.schedule = {parse_curve(curve_), lr_, lr_min_, warmup_steps_, step_size_, gamma_};
  o.loss.kind = !loss_.empty()   ? parse_loss(loss_)
                : integer_target ? LossKind::cross_entropy
                                 : LossKind::mse;
  o.loss.beta = beta_;
  o.loss.delta = delta_;
  o.shuffle = shuffle_ ? Shuffle::yes : Shuffle::no;
  o.clip_norm = clip_norm_;
  o.on_nonfinite = parse_on_nonfinite(on_nonfinite_);
  if (early_stopping_ && patience_ < 1)
    throw Error("--patience below 1 (" + std::to_string(patience_) + ")");
  o.patience = early_stopping_ ? patience_ : 0;
  o.recording = run.records_steps() ? Recording::on : Recording::off;
  if (scale_y && o.loss.kind == LossKind::cross_entropy)
    throw Error("--scale-y is for numbers, not for class labels (loss cross_entropy)");
  return o;
}

}  // namespace sinew::tools
