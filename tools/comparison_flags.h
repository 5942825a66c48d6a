// The flags that `sinew compare` and `sinew sweep` share: from text to ComparisonSettings.
#pragma once
#include <string>
#include <vector>

#include "comparison.h"
#include "network_flags.h"

namespace sinew::tools {

class ComparisonFlags {
 public:
  // Of a sweep all but --shape, --depth, --k, --activation, --seed, which are its grid, and but
  // --timing-*.
  enum class Of : uint8_t { one, grid };
  void add_to(Flags& flags, Of of);
  // Throws for values that make no sense. Of a grid the cell's shape, depth, k, activation and seed
  // are left to be set.
  ComparisonSettings settings(const RunFlags& run) const;

 private:
  NetworkFlags network_;
  std::string task_ = "mixed", baselines_ = "dense_resrelu,dense_respsann";
  int64_t epochs_ = 25, batch_size_ = 128, seed_ = 0, train_size_ = 4096, test_size_ = 1024;
  int64_t timing_warmup_steps_ = 2, timing_epochs_ = 1, dense_depth_ = 0, dense_max_width_ = 4096;
  double lr_ = 1e-3, weight_decay_ = 0, val_fraction_ = 0.1, match_tolerance_ = 0.01;
  bool scale_x_ = false, scale_y_ = false, fresh_seed_ = false;
};

// "a,b,c" as its parts; throws for an empty one.
std::vector<std::string> split_list(const std::string& flag, const std::string& text);

}  // namespace sinew::tools
