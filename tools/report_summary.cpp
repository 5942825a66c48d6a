// Grouping of cells by what they have in common, and means of what is finite.
#include "report_summary.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "sinew/error.h"

namespace sinew::tools {
namespace {

const std::vector<std::string> known = {"geo_sparse", "dense_resrelu", "dense_respsann",
                                        "dense_relu", "dense_psann"};
constexpr size_t most_models = 16;

std::vector<std::string> model_names(const std::vector<const Cell*>& cells) {
  std::vector<std::string> out = known;
  const auto has = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<std::string> present;
  for (const Cell* cell : cells)
    for (const ModelResult& model : cell->models) {
      if (!has(present, model.name)) present.push_back(model.name);
      if (!has(out, model.name)) out.push_back(model.name);
      if (out.size() > most_models) throw Error("more than 16 models");
    }
  std::erase_if(out, [&](const std::string& name) { return !has(present, name); });
  return out;
}

std::vector<std::string> shape_names(const std::vector<const Cell*>& cells) {
  std::vector<std::tuple<int64_t, int64_t, std::string>> found;
  for (const Cell* cell : cells)
    found.emplace_back(cell->rows * cell->columns, cell->rows, shape_name(*cell));
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::string> out;
  for (const auto& one : found) out.push_back(std::get<2>(one));
  return out;
}

void add(ModelSummary& to, const Summary& summary, const Cell& cell, const std::string& name) {
  const ModelResult* model = find_model(cell, name);
  if (model == nullptr) return;
  ++to.cells;
  to.test.add(summary.metric(model->test));
  to.train.add(summary.metric(model->train));
  to.validation.add(summary.metric(model->validation));
  to.best_test.add(summary.metric(model->best_test));
  to.parameters.add(model->parameters);
  to.step_ms.add(model->step_ms);
  to.train_s.add(model->train_s);
  to.samples_per_s.add(model->samples_per_s);
  to.memory_bytes.add(model->memory_bytes);
  const ModelResult* geo = find_model(cell, "geo_sparse");
  if (geo == nullptr || geo == model) return;
  ++to.contests;
  to.geo_wins += summary.better(summary.metric(geo->test), summary.metric(model->test)) ? 1 : 0;
}

std::vector<ModelSummary> add_all(const Summary& summary, const std::vector<const Cell*>& cells) {
  std::vector<ModelSummary> out(summary.models.size());
  for (const Cell* cell : cells)
    for (size_t m = 0; m < out.size(); ++m) add(out[m], summary, *cell, summary.models[m]);
  return out;
}

// In the order of the values, not of their text.
std::vector<Configuration> configurations(const Summary& summary) {
  using Key = std::tuple<size_t, std::string, std::string, std::string, int64_t, int64_t>;
  std::map<Key, Configuration> found;
  std::string task, pattern;
  bool tasks = false, patterns = false;
  for (const Cell* cell : summary.good) {
    tasks = tasks || cell->task != summary.good[0]->task;
    patterns = patterns || cell->pattern != summary.good[0]->pattern;
  }
  for (const Cell* cell : summary.good) {
    const std::string shape = shape_name(*cell);
    const size_t at = static_cast<size_t>(
        std::find(summary.shapes.begin(), summary.shapes.end(), shape) - summary.shapes.begin());
    auto& one = found[{at, cell->task, cell->pattern, cell->activation, cell->depth, cell->k}];
    one.shape = shape;
    one.label = (tasks ? cell->task + ", " : "") + "depth " + std::to_string(cell->depth) + ", k " +
                std::to_string(cell->k) + ", " + cell->activation +
                (patterns ? ", " + cell->pattern : "");
    one.cells.push_back(cell);
  }
  std::vector<Configuration> out;
  for (auto& [key, one] : found) {
    one.models = add_all(summary, one.cells);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

void Average::add(double value) {
  if (!std::isfinite(value)) return;
  mean = count == 0 ? value : mean + (value - mean) / static_cast<double>(count + 1);
  low = count == 0 ? value : std::min(low, value);
  high = count == 0 ? value : std::max(high, value);
  ++count;
}

double Summary::metric(const Figures& figures) const {
  return classification ? figures.accuracy : figures.loss;
}

bool Summary::better(double a, double b) const {
  if (std::isnan(a) || std::isnan(b)) return !std::isnan(a);
  return classification ? a > b : a < b;
}

const Configuration* Summary::best(size_t model) const {
  const Configuration* out = nullptr;
  double least = NAN;
  for (const Configuration& one : configurations)
    if (better(one.models[model].test.mean, least)) {
      least = one.models[model].test.mean;
      out = &one;
    }
  return out;
}

Average Summary::line(const std::string& name, const std::string& shape) const {
  Average out;
  for (const Cell* cell : good)
    for (const ReferenceFigures& line : cell->lines)
      if (line.name == name && (shape.empty() || shape_name(*cell) == shape))
        out.add(metric(line.test));
  return out;
}

std::vector<std::string> Summary::line_names() const {
  std::vector<std::string> out;
  for (const Cell* cell : good)
    for (const ReferenceFigures& line : cell->lines)
      if (std::find(out.begin(), out.end(), line.name) == out.end() && out.size() < most_models)
        out.push_back(line.name);
  return out;
}

Summary summarize(const Results& results) {
  Summary out;
  for (const Cell& cell : results.cells)
    (cell.error.empty() ? out.good : out.failed).push_back(&cell);
  out.classification = !out.good.empty() && out.good[0]->classes > 0;
  out.models = model_names(out.good);
  out.shapes = shape_names(out.good);
  out.configurations = configurations(out);
  out.all = add_all(out, out.good);
  for (const std::string& shape : out.shapes) {
    std::vector<const Cell*> cells;
    for (const Cell* cell : out.good)
      if (shape_name(*cell) == shape) cells.push_back(cell);
    out.by_shape.push_back(add_all(out, cells));
  }
  return out;
}

std::string shape_name(const Cell& cell) {
  return std::to_string(cell.rows) + "x" + std::to_string(cell.columns);
}

const ModelResult* find_model(const Cell& cell, const std::string& name) {
  for (const ModelResult& model : cell.models)
    if (model.name == name) return &model;
  return nullptr;
}

std::string line_title(const std::string& name) {
  if (name == "mean") return "predict the mean";
  if (name == "most_frequent") return "predict the most frequent class";
  if (name == "least_squares") return "least squares";
  return name;
}

}  // namespace sinew::tools
