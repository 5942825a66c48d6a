// What a sweep is to do and what of it lies on the disk. In its folder:
//
//   manifest.json              settings of all cells, and the cells with their own settings
//   CELL/results.json          of a complete cell, beside the other files of a comparison
//   CELL/error.json            why a cell failed
//   summary.csv, summary_by_model.json
//
// The files may be hostile: size and depth are bounded, wrong types are found.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sweep_grid.h"

namespace sinew::tools {

struct PlannedCell {
  std::string run_id;
  nlohmann::ordered_json settings;  // only those that belong to the cell
  std::string folder() const { return folder_of(run_id); }
};
struct SweepPlan {
  nlohmann::ordered_json settings;  // what all cells have in common
  std::vector<PlannedCell> cells;   // in the order of the grid
};
// Throws for cells that make no sense.
SweepPlan make_plan(const std::vector<SweepCell>& cells, const RunFlags& run);
std::string to_json(const SweepPlan& plan);  // manifest.json
SweepPlan read_plan(const std::string& manifest);
// Whether a setting depends on the cell: its shape, depth, k, activation and seed.
bool of_cell(const std::string& key);
// "KEY: old, now new" of the first setting that differs; empty if none does.
std::string difference(const nlohmann::ordered_json& old, const nlohmann::ordered_json& now);

struct CellState {
  enum class Kind : uint8_t { none, complete, failed, broken, other } kind = Kind::none;
  std::string fault;                         // of failed, broken, other: why
  std::vector<nlohmann::ordered_json> rows;  // of complete and failed: those of summary.csv
};
// `sweep`: the folder. complete: results.json is whole and has the settings of the plan.
CellState read_cell(const std::string& sweep, const SweepPlan& plan, size_t cell);

}  // namespace sinew::tools
