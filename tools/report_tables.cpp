// HTML tables in boxes that scroll. A cell of the table sorts by its data-v, else by its text.
#include "report_tables.h"

#include <algorithm>
#include <functional>

#include "report_chart.h"
#include "report_figures.h"
#include "report_text.h"

namespace sinew::tools {
namespace {

using Cells = std::vector<std::string>;  // <th> and <td> of one row

std::string td(const std::string& shown, const std::string& more = "") {
  return "<td" + more + ">" + shown + "</td>";
}
std::string text_cell(const std::string& shown) { return td(html(shown), " class=\"text\""); }
std::string number_cell(double value) { return td(number(value)); }
std::string sorted_cell(const std::string& shown, double value, const std::string& kind = "") {
  const std::string by = std::isfinite(value) ? format("%.9g", value) : "";
  return td(shown, " data-v=\"" + by + "\"" + (kind.empty() ? "" : " class=\"" + kind + "\""));
}
std::string head_cell(const std::string& name, const std::string& kind = "") {
  return "<th scope=\"col\"" + (kind.empty() ? "" : " class=\"" + kind + "\"") + ">" + html(name) +
         "</th>";
}
std::string swatch(int series) {
  return "<svg viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">" + marker(series, 0, 0, 5) + "</svg>";
}
std::string row_head(const std::string& shown) { return "<th scope=\"row\">" + shown + "</th>"; }
std::string model_cell(const Summary& summary, size_t m) {
  return swatch(series_of(summary, m)) + html(summary.models[m]);
}

std::string table(const std::string& caption, const Cells& head, const std::vector<Cells>& rows) {
  std::string out = "<div class=\"scroll" + std::string(rows.size() > 40 ? " tall" : "") +
                    "\" role=\"region\" tabindex=\"0\" aria-label=\"" + html(caption) +
                    "\"><table class=\"sortable\"><caption>" + html(caption) +
                    "</caption><thead><tr>";
  for (const auto& cell : head) out += cell;
  out += "</tr></thead><tbody>";
  for (const Cells& row : rows) {
    out += "<tr>";
    for (const auto& cell : row) out += cell;
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string metric_cell(const Summary& summary, double value) {
  return sorted_cell(metric_text(summary, value), value);
}

std::string spread_cell(const Summary& summary, const Average& of, const std::string& kind) {
  std::string shown = metric_text(summary, of.mean);
  if (of.count > 1)
    shown += " <span class=\"soft\">" + metric_text(summary, of.low) + " to " +
             metric_text(summary, of.high) + "</span>";
  return sorted_cell(shown, of.mean, kind);
}

double megabytes(double bytes) { return bytes / 1e6; }

// What a table shows only where some cell has it.
bool any(const Summary& summary, const std::function<double(const ModelResult&)>& value) {
  for (const Cell* cell : summary.good)
    for (const ModelResult& model : cell->models)
      if (std::isfinite(value(model))) return true;
  return false;
}
bool has_validation(const Summary& s) {
  return any(s, [&](const ModelResult& m) { return s.metric(m.validation); });
}
bool has_best(const Summary& s) {
  return any(s, [&](const ModelResult& m) { return s.metric(m.best_test); });
}

bool has_missing(const Summary& s) {
  return std::any_of(s.all.begin(), s.all.end(),
                     [](const ModelSummary& one) { return one.test.count < one.cells; });
}

int64_t configurations_won(const Summary& summary, size_t m) {
  return std::count_if(summary.configurations.begin(), summary.configurations.end(),
                       [&](const Configuration& one) {
                         return one.models[0].cells > 0 && one.models[m].cells > 0 &&
                                summary.better(one.models[0].test.mean, one.models[m].test.mean);
                       });
}
int64_t configurations_with(const Summary& summary, size_t m) {
  return std::count_if(
      summary.configurations.begin(), summary.configurations.end(),
      [&](const Configuration& one) { return one.models[0].cells > 0 && one.models[m].cells > 0; });
}

std::string of(int64_t part, int64_t whole) {
  return sorted_cell(std::to_string(part) + " of " + std::to_string(whole),
                     static_cast<double>(part));
}

// Rows of reference lines have these columns only.
Cells line_row(const Summary& summary, const std::string& name, size_t columns) {
  Cells row = {row_head(html(line_title(name))), metric_cell(summary, summary.line(name, "").mean)};
  if (summary.shapes.size() > 1)
    for (const auto& shape : summary.shapes)
      row.push_back(metric_cell(summary, summary.line(name, shape).mean));
  while (row.size() < columns) row.push_back(td(""));
  return row;
}

bool has_duels(const Summary& s) {
  return s.models[0] == "geo_sparse" && s.models.size() > 1 && s.good.size() > 1;
}

Cells model_head(const Summary& summary) {
  const std::string test = "test " + metric_name(summary);
  const bool shapes = summary.shapes.size() > 1;
  Cells head = {head_cell("model", "text"), head_cell(test)};
  if (shapes)
    for (const auto& shape : summary.shapes) head.push_back(head_cell(shape));
  head.push_back(head_cell("train " + metric_name(summary)));
  if (has_validation(summary)) head.push_back(head_cell("validation"));
  if (has_best(summary)) head.push_back(head_cell("at best epoch"));
  for (const char* name : {"parameters", "step (ms)", "training (s)", "memory (MB)"})
    head.push_back(head_cell(name));
  if (has_missing(summary)) head.push_back(head_cell("with figures"));
  if (has_duels(summary)) {
    head.push_back(head_cell("geo better, cells"));
    head.push_back(head_cell("configurations"));
  }
  return head;
}

}  // namespace

std::string model_table(const Summary& summary) {
  const bool several = summary.good.size() > 1, shapes = summary.shapes.size() > 1;
  const Cells head = model_head(summary);
  std::vector<Cells> rows;
  for (size_t m = 0; m < summary.models.size(); ++m) {
    const ModelSummary& model = summary.all[m];
    Cells row = {row_head(model_cell(summary, m)), metric_cell(summary, model.test.mean)};
    if (shapes)
      for (const auto& by : summary.by_shape) row.push_back(metric_cell(summary, by[m].test.mean));
    row.push_back(metric_cell(summary, model.train.mean));
    if (has_validation(summary)) row.push_back(metric_cell(summary, model.validation.mean));
    if (has_best(summary)) row.push_back(metric_cell(summary, model.best_test.mean));
    for (const double value : {model.parameters.mean, model.step_ms.mean, model.train_s.mean,
                               megabytes(model.memory_bytes.mean)})
      row.push_back(number_cell(value));
    if (has_missing(summary)) row.push_back(of(model.test.count, model.cells));
    if (has_duels(summary)) {
      row.push_back(m == 0 ? td("") : of(model.geo_wins, model.contests));
      row.push_back(m == 0 ? td("")
                           : of(configurations_won(summary, m), configurations_with(summary, m)));
    }
    rows.push_back(row);
  }
  for (const auto& name : summary.line_names())
    rows.push_back(line_row(summary, name, head.size()));
  return table(several ? "By model: means over the cells that have the figure" : "By model", head,
               rows);
}

std::string configuration_table(const Summary& summary) {
  Cells head = {head_cell("shape", "text"), head_cell("configuration", "text"), head_cell("seeds")};
  for (const auto& name : summary.models) head.push_back(head_cell(name));
  const bool geo = summary.models[0] == "geo_sparse" && summary.models.size() > 1;
  if (geo) head.push_back(head_cell("geo better, seeds \u00d7 baselines"));
  std::vector<Cells> rows;
  for (const Configuration& one : summary.configurations) {
    const double area = static_cast<double>(one.cells[0]->rows * one.cells[0]->columns);
    Cells row = {sorted_cell(one.shape, area, "text"), row_head(html(one.label)),
                 td(std::to_string(one.cells.size()))};
    double best = NAN;
    for (const ModelSummary& model : one.models)
      if (summary.better(model.test.mean, best)) best = model.test.mean;
    int64_t wins = 0, contests = 0;
    for (const ModelSummary& model : one.models) {
      row.push_back(spread_cell(summary, model.test, model.test.mean == best ? "win" : ""));
      wins += model.geo_wins;
      contests += model.contests;
    }
    if (geo) row.push_back(of(wins, contests));
    rows.push_back(row);
  }
  return table("Test " + metric_name(summary) +
                   " by configuration: mean over the seeds, smallest to largest; the best in bold",
               head, rows);
}

std::string cell_table(const Summary& summary) {
  const std::string metric = metric_name(summary);
  const bool validation = has_validation(summary), best = has_best(summary);
  Cells head = {
      head_cell("shape", "text"),      head_cell("depth"),          head_cell("k"),
      head_cell("activation", "text"), head_cell("seed"),           head_cell("model", "text"),
      head_cell("test " + metric),     head_cell("train " + metric)};
  if (validation) head.push_back(head_cell("validation"));
  if (best)
    for (const char* name : {"best epoch", "test then"}) head.push_back(head_cell(name));
  const auto others =
      summary.classification ? Cells{"cross-entropy", "macro F1"} : Cells{"test r2", "test mae"};
  for (const auto& name : others) head.push_back(head_cell(name));
  for (const char* name : {"parameters", "off by", "step (ms)", "25 to 75 %", "training (s)",
                           "rows/s", "memory (MB)", "non-finite steps"})
    head.push_back(head_cell(name));
  std::vector<Cells> rows;
  for (const Cell* cell : summary.good)
    for (size_t m = 0; m < summary.models.size(); ++m) {
      const ModelResult* model = find_model(*cell, summary.models[m]);
      if (model == nullptr) continue;
      Cells row = {
          sorted_cell(shape_name(*cell), static_cast<double>(cell->rows * cell->columns), "text"),
          td(std::to_string(cell->depth)),
          td(std::to_string(cell->k)),
          text_cell(cell->activation),
          td(std::to_string(cell->seed)),
          row_head(model_cell(summary, m)),
          metric_cell(summary, summary.metric(model->test)),
          metric_cell(summary, summary.metric(model->train))};
      if (validation) row.push_back(metric_cell(summary, summary.metric(model->validation)));
      if (best) {
        row.push_back(number_cell(model->best_epoch));
        row.push_back(metric_cell(summary, summary.metric(model->best_test)));
      }
      row.push_back(number_cell(summary.classification ? model->test.loss : model->test.r2));
      row.push_back(number_cell(summary.classification ? model->test.macro_f1 : model->test.mae));
      row.push_back(number_cell(model->parameters));
      row.push_back(sorted_cell(percent(model->mismatch_ratio), model->mismatch_ratio));
      row.push_back(number_cell(model->step_ms));
      row.push_back(sorted_cell(number(model->step_ms_p25) + " to " + number(model->step_ms_p75),
                                model->step_ms_p25));
      for (const double value : {model->train_s, model->samples_per_s,
                                 megabytes(model->memory_bytes), model->nonfinite_steps})
        row.push_back(number_cell(value));
      rows.push_back(row);
    }
  return table("All results", head, rows);
}

std::string failure_table(const Summary& summary) {
  std::vector<Cells> rows;
  for (const Cell* cell : summary.failed)
    rows.push_back({row_head(html(cell->id)), td(html(cell->error), " class=\"text long\"")});
  return table("Cells without figures", {head_cell("cell", "text"), head_cell("why", "text")},
               rows);
}

std::string legend(const Summary& summary) {
  std::string out = "<ul class=\"legend\">";
  for (size_t m = 0; m < summary.models.size(); ++m)
    out += "<li>" + model_cell(summary, m) + "</li>";
  return out + "</ul>\n";
}

}  // namespace sinew::tools
