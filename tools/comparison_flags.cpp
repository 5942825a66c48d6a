// Each flag with its default and unit; names, ranges and combinations are checked here, before any
// work.
#include "comparison_flags.h"

#include <cmath>

#include "sinew/error.h"

namespace sinew::tools {

std::vector<std::string> split_list(const std::string& flag, const std::string& text) {
  std::vector<std::string> out;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find(',', from), text.size());
    const size_t first = text.find_first_not_of(' ', from);
    const size_t last = text.find_last_not_of(' ', to == 0 ? 0 : to - 1);
    if (first >= to || last == text.npos || last < first)
      throw Error(flag + ": an empty item (" + text + ")");
    out.push_back(text.substr(first, last - first + 1));
    from = to + 1;
  }
  return out;
}

void ComparisonFlags::add_to(Flags& flags, Of of) {
  // What the data and the baselines decide, and what is the grid of a sweep.
  std::vector<std::string> without = {"model", "input_dim", "output_dim", "hidden_dim"};
  if (of == Of::grid) without.insert(without.end(), {"shape", "depth", "k", "activation_type"});
  network_.add_to(flags, without);
  const char* group = "Comparison";
  const auto value = [&](const char* name, auto& variable, const char* what) {
    return flags.add(name, variable, what).group(group);
  };
  const auto positive = [&](const char* name, int64_t& variable, const char* what) {
    value(name, variable, what).above_zero();
  };
  value("--task", task_, "sine, mixed, teacher_relu or teacher_tanh");
  value("--baselines", baselines_,
        "of dense_resrelu, dense_respsann, dense_relu, dense_psann, or none");
  positive("--train-size", train_size_, "rows of the task for training and validation");
  positive("--test-size", test_size_, "rows of the task for testing");
  value("--val-fraction", val_fraction_, "of the training rows; 0: no validation");
  flags.add_switch("scale-x", scale_x_, "inputs to mean 0, deviation 1 of the training rows")
      .group(group);
  flags.add_switch("scale-y", scale_y_, "the same for targets; figures are of values before")
      .group(group);
  positive("--epochs", epochs_, "passes over the training rows");
  positive("--batch-size", batch_size_, "rows per step");
  value("--lr", lr_, "learning rate of AdamW");
  value("--weight-decay", weight_decay_, "of AdamW");
  positive("--dense-depth", dense_depth_,
           "blocks, or hidden layers, of the dense networks; default: --depth");
  positive("--dense-max-width", dense_max_width_, "widest dense network that is tried");
  value("--match-tolerance", match_tolerance_,
        "a dense network whose number of parameters is further off is reported");
  value("--fresh-seed-per-model", fresh_seed_,
        "seed the generator anew for each model, so that none depends on those before it");
  if (of == Of::grid) return;
  flags.get("--shape").shown("4x4, or of the data");
  value("--seed", seed_, "of data, split, connectivity, weights and batch order").whole_number();
  value("--timing-warmup-steps", timing_warmup_steps_,
        "steps of an epoch that step_time_ms_mean leaves out")
      .not_negative();
  value("--timing-epochs", timing_epochs_, "epochs that step_time_ms_mean covers").not_negative();
}

ComparisonSettings ComparisonFlags::settings(const RunFlags& run) const {
  ComparisonSettings s;
  s.network = network_.config(NetworkConfig());
  if (s.network.model != ModelKind::geo_sparse)
    throw Error("--config: a comparison starts from a geo_sparse network");
  if (baselines_ != "none")
    s.contenders.baselines = split_list("--baselines", baselines_);
  else
    s.contenders.baselines.clear();
  if (dense_depth_ > 0) s.contenders.dense_depth = dense_depth_;
  s.contenders.max_width = dense_max_width_;
  s.task.kind = parse_task(task_);
  s.task.train_rows = train_size_;
  s.task.test_rows = test_size_;
  if (!(val_fraction_ >= 0 && val_fraction_ < 1))
    throw Error("--val-fraction outside [0, 1) (" + std::to_string(val_fraction_) + ")");
  s.data = {val_fraction_, scale_x_, scale_y_, seed_};
  for (const auto& [flag, value] : {std::pair("--weight-decay", weight_decay_),
                                    std::pair("--match-tolerance", match_tolerance_)})
    if (!(value >= 0) || !std::isfinite(value))
      throw Error(std::string(flag) + " is no number >= 0 (" + std::to_string(value) + ")");
  s.train.epochs = epochs_;
  s.train.batch_size = batch_size_;
  s.train.schedule.lr = lr_;
  s.train.schedule.at(0, 1);
  s.train.adam.weight_decay = weight_decay_;
  s.train.on_nonfinite = OnNonfinite::ignore;
  s.train.recording = run.records_steps() ? Recording::on : Recording::off;
  s.seeding = fresh_seed_ ? Seeding::fresh_per_model : Seeding::one_stream;
  s.seed = seed_;
  s.timing_warmup_steps = timing_warmup_steps_;
  s.timing_epochs = timing_epochs_;
  s.match_tolerance = match_tolerance_;
  return s;
}

}  // namespace sinew::tools
