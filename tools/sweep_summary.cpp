// Cells are taken in the order of the grid and sums are made in it, so that the files do not depend
// on the order in which cells were run.
#include "sweep_summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "comparison.h"
#include "gnuplot.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* geo = "geo_sparse";
constexpr const char* means[] = {"mse_test",
                                 "mse_train",
                                 "mse_val",
                                 "train_train_time_s",
                                 "train_step_time_ms_mean",
                                 "train_epoch_time_s_mean",
                                 "train_samples_per_sec"};

void spread(Json& row, const std::string& name, const Json& value, int levels) {
  if (levels == 0 || !value.is_object() || value.empty()) {
    row[name] = value;
    return;
  }
  for (const auto& [key, one] : value.items()) spread(row, name + "_" + key, one, levels - 1);
}

bool begins(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

std::string line_name(const std::string& name) {
  return (name == "mean" ? "predict_mean" : name) + "_mse_test";
}

double number(const Json& row, const char* key) {  // NaN if it is none
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? found->get<double>() : NAN;
}

std::string text(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

struct Mean {
  double sum = 0;
  int64_t count = 0;
  void add(double v) {
    if (std::isnan(v)) return;
    sum += v;
    ++count;
  }
  Json json() const { return count > 0 ? Json(sum / static_cast<double>(count)) : Json(); }
};

struct ModelMeans {
  int64_t rows = 0, geo_wins = 0, geo_compared = 0;
  Mean mean[std::size(means)];
};

std::string shown(const Json& value) {  // a mean
  char out[32];
  std::snprintf(out, sizeof out, "%.5g", value.is_number() ? value.get<double>() : NAN);
  return out;
}

}  // namespace

std::vector<Json> rows_of(const PlannedCell& cell, const Json& results) {
  Json shared = {{"run_id", cell.run_id}, {"result_dir", cell.folder()}, {"status", "ok"}};
  for (const auto& [key, value] : results["environment"].items())
    spread(shared, "env_" + key, value, 1);
  for (const auto& [key, value] : results["manifest"].items())
    spread(shared, "manifest_" + key, value, 1);
  for (const Json& line : results["reference_lines"]) {
    const Json& metrics = line["metrics_test"];
    shared[line_name(line["name"].get<std::string>())] =
        metrics.contains("mse") ? metrics["mse"] : Json();
  }
  std::vector<Json> rows;
  for (const Json& model : results["models"]) {
    Json row = shared;
    row["model"] = model["name"];
    for (const auto& [key, value] : model.items()) {
      if (begins(key, "param") || begins(key, "mse_") || key == "width") row[key] = value;
      if (begins(key, "metrics_") || key == "train") spread(row, key, value, 1);
      if (key == "best") spread(row, key, value, 2);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Json error_row(const PlannedCell& cell, const std::string& error) {
  return {{"run_id", cell.run_id},
          {"result_dir", cell.folder()},
          {"status", "error"},
          {"error", error}};
}

Json by_model(const std::vector<CellState>& cells) {
  std::vector<std::string> order;
  std::map<std::string, ModelMeans> models;
  int64_t errors = 0;
  for (const CellState& cell : cells) {
    if (cell.kind == CellState::Kind::failed) ++errors;
    if (cell.kind != CellState::Kind::complete) continue;
    double geo_mse = NAN;
    for (const Json& row : cell.rows)
      if (text(row, "model") == geo) geo_mse = number(row, "mse_test");
    for (const Json& row : cell.rows) {
      const std::string name = text(row, "model");
      if (!models.contains(name)) order.push_back(name);
      ModelMeans& model = models[name];
      ++model.rows;
      for (size_t i = 0; i < std::size(means); ++i) model.mean[i].add(number(row, means[i]));
      const double mse = number(row, "mse_test");
      if (!std::isnan(mse) && !std::isnan(geo_mse)) ++model.geo_compared;
      if (geo_mse < mse) ++model.geo_wins;
    }
  }
  Json out = Json::object();
  for (const std::string& name : order) {
    const ModelMeans& model = models[name];
    Json& one = out[name] = {{"rows", model.rows}, {"errors", errors}};
    for (size_t i = 0; i < std::size(means); ++i) one[means[i]] = model.mean[i].json();
    if (name == geo) continue;
    one["geo_wins"] = model.geo_wins;
    one["geo_compared"] = model.geo_compared;
  }
  return out;
}

void write_summary(const std::string& folder, const std::vector<CellState>& cells) {
  std::vector<Json> rows;
  for (const CellState& cell : cells) rows.insert(rows.end(), cell.rows.begin(), cell.rows.end());
  write_file(folder + "/summary.csv", to_csv(rows));
  write_file(folder + "/summary_by_model.json", by_model(cells).dump(2) + "\n");
}

std::string summary_table(const std::vector<CellState>& cells) {
  std::string out;
  const Json models = by_model(cells);
  for (const auto& [name, model] : models.items()) {
    out += printable(name) + ": mean mse_test " + shown(model["mse_test"]) +
           ", mean training time " + shown(model["train_train_time_s"]) + " s";
    if (model.contains("geo_wins"))
      out += "; geo_sparse is better in " + model["geo_wins"].dump() + " of " +
             model["geo_compared"].dump();
    out += "\n";
  }
  return out;
}

bool plot_summary(const std::string& folder, const std::vector<CellState>& cells) {
  if (!gnuplot_found()) return false;
  std::string data, names;
  const Json models = by_model(cells);
  for (const auto& [name, model] : models.items()) {
    if (!model["mse_test"].is_number() || !model["train_train_time_s"].is_number()) continue;
    names += (names.empty() ? "" : ", ") + gnuplot_text(name) + " " +
             std::to_string(std::count(data.begin(), data.end(), '\n'));
    data += shown(model["train_train_time_s"]) + " " + shown(model["mse_test"]) + "\n";
  }
  if (data.empty()) return true;  // gnuplot takes no empty plot
  const std::string draw =
      "set multiplot layout 1, 2\n"
      "set style fill solid\nset boxwidth 0.6\nset yrange [0:*]\nset offsets 0.5, 0.5, 0, 0\n"
      "set xtics noenhanced rotate by 20 right (" +
      names +
      ")\nset grid ytics\nunset key\n"
      "set title 'mean training time in s'\nplot $data using 0:1 with boxes linecolor '#4477aa'\n"
      "set title 'mean test mse'\nplot $data using 0:2 with boxes linecolor '#4477aa'\n"
      "unset multiplot\n";
  const std::string script = "$data << END\n" + data + "END\n" + draw;
  gnuplot_picture(folder, "summary_plot.png", "set terminal pngcairo size 1600, 640 fontscale 1.4",
                  script);
  gnuplot_picture(folder, "summary_plot.svg", "set terminal svg size 1000, 400", script);
  return true;
}

}  // namespace sinew::tools
