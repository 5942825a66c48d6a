// Runs cells of a sweep, several at a time, in threads of this process.
#pragma once
#include <string>
#include <vector>

#include "sweep_plan.h"

namespace sinew::tools {

struct SweepWork {
  std::string folder;
  const std::vector<SweepCell>& cells;
  const SweepPlan& plan;      // of the same cells
  RunFlags run;               // of one cell
  std::vector<size_t> to_do;  // cells, in this order
  size_t jobs = 1;
  size_t progress_every = 1;
  enum class Summary : uint8_t { none, kept_current } summary = Summary::kept_current;
};
// Updates the states of the cells that end, complete or failed. Returns warnings about widths.
// Throws for what cannot be written, and Stopped after a signal if cells are left.
std::vector<std::string> run_cells(const SweepWork& work, std::vector<CellState>& states);

}  // namespace sinew::tools
