// Results of many cells as tables: summary.csv with a row per cell and model, and
// summary_by_model.json with the means.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sweep_plan.h"

namespace sinew::tools {

// Of whole results (sweep_plan.h). Columns: run_id, result_dir, status, model, env_*, manifest_*,
// metrics_<part>_*, mse_<part>, best_*, train_*, param*, width, predict_mean_mse_test,
// least_squares_mse_test. Objects are spread over columns one level deep (of best_* two).
std::vector<nlohmann::ordered_json> rows_of(const PlannedCell& cell,
                                            const nlohmann::ordered_json& results);
// The row of a cell that failed: run_id, result_dir, status "error", error.
nlohmann::ordered_json error_row(const PlannedCell& cell, const std::string& error);

// For each model, from the complete cells: rows, errors (cells that failed), the mean of mse_test
// and others over the rows that have a number (null without any), and of a baseline geo_wins: in
// how many of geo_compared cells geo_sparse has the smaller mse_test.
nlohmann::ordered_json by_model(const std::vector<CellState>& cells);

// Both files, each of which appears whole.
void write_summary(const std::string& folder, const std::vector<CellState>& cells);
// One line per model.
std::string summary_table(const std::vector<CellState>& cells);
// summary_plot.png and .svg: bars of mean training time and mean mse_test. False without gnuplot.
bool plot_summary(const std::string& folder, const std::vector<CellState>& cells);

}  // namespace sinew::tools
