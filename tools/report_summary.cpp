// Grouping of cells by what they have in common, and means of what is finite.
#include "report_summary.h"
#include "command.h"

#include <algorithm>
#include <tuple>

#include "report_text.h"
#include "sinew/error.h"

namespace sinew::tools {
namespace {

constexpr size_t most_models = 16;

std::vector<std::string> model_names(const std::vector<const Cell*>& cells) {
  std::vector<std::string> out = known_models();
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
  std::vector<std::string> out;
  for (const Cell* cell : cells)
    if (out.empty() || out.back() != shape_name(*cell)) out.push_back(shape_name(*cell));
  return out;
}

void add(Duel::Side& to, const Summary& summary, const ModelResult& model) {
  to.test.add(summary.metric(model.test));
  to.step_ms.add(model.step_ms);
  to.memory_bytes.add(model.memory_bytes);
}

void add(Duel& to, const Summary& summary, const ModelResult& geo, const ModelResult& other) {
  const double ours = summary.metric(geo.test), theirs = summary.metric(other.test);
  ++to.cells;
  if (!std::isfinite(ours) || !std::isfinite(theirs)) return;
  ++to.contests;
  to.wins += summary.better(ours, theirs) ? 1 : 0;
  add(to.geo, summary, geo);
  add(to.other, summary, other);
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
  to.memory_bytes.add(model->memory_bytes);
  if (!std::isfinite(summary.metric(model->test))) ++to.diverged;
  if (model->mismatch_ratio > cell.match_tolerance) {
    ++to.mismatched;
    to.most_mismatched = std::max(to.most_mismatched, model->mismatch_ratio);
  }
  if (const ModelResult* geo = find_model(cell, "geo_sparse"); geo != nullptr && geo != model)
    add(to.duel, summary, *geo, *model);
}

std::vector<ModelSummary> add_all(const Summary& summary, const std::vector<const Cell*>& cells) {
  std::vector<ModelSummary> out(summary.models.size());
  for (const Cell* cell : cells)
    for (size_t m = 0; m < out.size(); ++m) add(out[m], summary, *cell, summary.models[m]);
  return out;
}

// The cells are sorted by this, then by seed.
auto configuration(const Cell& cell) {
  return std::make_tuple(cell.rows * cell.columns, cell.rows, cell.depth, cell.k, cell.activation,
                         cell.dense_depth);
}

std::vector<Configuration> configurations(const Summary& summary) {
  std::vector<Configuration> out;
  for (const Cell* cell : summary.good) {
    if (out.empty() || configuration(*out.back().cells[0]) != configuration(*cell)) {
      const bool other_depth = cell->dense_depth > 0 && cell->dense_depth != cell->depth;
      const std::string label =
          "depth " + std::to_string(cell->depth) +
          (other_depth ? " (dense " + std::to_string(cell->dense_depth) + ")" : "") + ", k " +
          std::to_string(cell->k) + ", " + cell->activation;
      out.push_back({shape_name(*cell), label, {}, {}});
    }
    out.back().cells.push_back(cell);
  }
  for (Configuration& one : out) one.models = add_all(summary, one.cells);
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

bool Summary::has_validation() const {
  return std::any_of(all.begin(), all.end(),
                     [](const ModelSummary& model) { return model.validation.count > 0; });
}

std::string Summary::seeds() const {
  Average counts;
  for (const Configuration& one : configurations) counts.add(static_cast<double>(one.cells.size()));
  const std::string most = plural(static_cast<long long>(counts.high), "seed");
  return counts.low == counts.high ? most : format("%.0f to ", counts.low) + most;
}

Summary summarize(const Results& results) {
  Summary out;
  for (const Cell& cell : results.cells)
    (cell.error.empty() ? out.good : out.failed).push_back(&cell);
  std::stable_sort(out.good.begin(), out.good.end(), [&](const Cell* a, const Cell* b) {
    return std::make_pair(configuration(*a), a->seed) < std::make_pair(configuration(*b), b->seed);
  });
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

const std::vector<std::string>& known_models() {
  static const std::vector<std::string> names = {"geo_sparse", "dense_resrelu", "dense_respsann",
                                                 "dense_relu", "dense_psann"};
  return names;
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
  if (name == "mean") return "predicting the mean";
  if (name == "most_frequent") return "predicting the most frequent class";
  if (name == "least_squares") return "least squares";
  return name;
}

}  // namespace sinew::tools
