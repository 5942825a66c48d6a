// The grid of a sweep: which comparisons it consists of, and which of them are a shard's.
#pragma once
#include <string>
#include <vector>

#include "comparison.h"

namespace sinew::tools {

struct GridLists {  // parts between commas
  std::string shapes = "4x4,8x8", depths = "4,8", ks = "4,8,16",
              activations = "relu,psann,relu_sigmoid_psann", seeds = "0,1";
};
struct SweepCell {
  std::string run_id;  // task=T_shape=HxW_depth=D_k=K_act=A_seed=N
  ComparisonSettings settings;
};
// Every combination, the last list's values nearest to each other. Throws for what is no value, for
// a cell that occurs twice and for more than 100000 cells; ranges are not checked.
std::vector<SweepCell> make_grid(const GridLists& lists, const ComparisonSettings& base);

// Name of a cell's folder: _ for : / \ , = and space.
std::string folder_of(const std::string& run_id);

struct Shard {
  size_t index = 0, count = 1;
  bool has(size_t cell) const { return cell % count == index; }
};
// "i/n" with 0 <= i < n, or "slurm": the task's place in its array, from Slurm's variables.
Shard parse_shard(const std::string& text);

}  // namespace sinew::tools
