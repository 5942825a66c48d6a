// The flags of `sinew train` that say how to train: from text to TrainOptions.
#pragma once
#include <string>

#include "command.h"
#include "sinew/train.h"

namespace sinew::tools {

struct TrainFlags {
  void add_to(Flags& flags);
  // For targets that are class labels or not. Throws for values and combinations that make no
  // sense.
  TrainOptions options(const RunFlags& run, bool integer_target) const;

  bool names_loss() const { return !loss_.empty(); }

  int64_t seed = 0;
  std::string val_data, val_target;
  double val_fraction = 0;
  bool scale_x = false, scale_y = false;
  int64_t checkpoint_every = 0;
  std::string init, out;
  bool strict = true, resume = false, overwrite = false;

 private:
  void add_data_and_files(Flags& flags);
  int64_t epochs_ = 25, batch_size_ = 128, patience_ = 20;
  double lr_ = 1e-3, weight_decay_ = 0, momentum_ = 0.9, eps_ = 1e-8, clip_norm_ = 0;
  std::string optimizer_ = "adamw", betas_ = "0.9,0.999", curve_ = "constant", loss_,
              on_nonfinite_ = "stop";
  int64_t warmup_steps_ = 0, step_size_ = 1;
  double lr_min_ = 0, gamma_ = 0.1, beta_ = 1, delta_ = 1;
  bool shuffle_ = true, early_stopping_ = false;
};

const char* name(Curve curve);

}  // namespace sinew::tools
