// HTML tables in boxes that scroll. A cell of the table sorts by its data-v, else by its text.
#include "report_tables.h"
#include "command.h"

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
struct Head {
  std::string name, kind;    // kind: "text" for a column of text
  std::string meaning = "";  // where the name does not say it
};
std::string head_cell(const Head& head) {
  return "<th scope=\"col\"" + (head.kind.empty() ? "" : " class=\"" + head.kind + "\"") +
         (head.meaning.empty() ? "" : " title=\"" + html(head.meaning) + "\"") + ">" +
         html(head.name) + "</th>";
}
std::string swatch(int series) {
  return "<svg viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">" + marker(series, 0, 0, 5) + "</svg>";
}
std::string row_head(const std::string& shown) { return "<th scope=\"row\">" + shown + "</th>"; }
std::string model_cell(const Summary& summary, size_t m) {
  return swatch(series_of(summary, m)) + html(summary.models[m]);
}

std::string table(const std::string& caption, const std::vector<Head>& heads,
                  const std::vector<Cells>& rows) {
  std::string out = "<p class=\"caption\">" + html(caption) + "</p>\n<div class=\"scroll" +
                    std::string(rows.size() > 40 ? " tall" : "") +
                    "\" role=\"region\" tabindex=\"0\" aria-label=\"" + html(caption) +
                    "\"><table class=\"sortable\" aria-label=\"" + html(caption) + "\"><thead><tr>";
  for (const Head& head : heads) out += head_cell(head);
  out += "</tr></thead><tbody>";
  for (const Cells& row : rows) {
    out += "<tr>";
    for (const auto& cell : row) out += cell;
    out += "</tr>\n";
  }
  std::string note;
  for (const Head& head : heads)
    if (!head.meaning.empty())
      note += (note.empty() ? "" : "; ") + html(head.name) + ": " + html(head.meaning);
  return out + "</tbody></table></div>\n" +
         (note.empty() ? "" : "<p class=\"soft notes\">" + note + ".</p>\n");
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
bool has_best(const Summary& s) {
  return any(s, [&](const ModelResult& m) { return s.metric(m.best_test); });
}

std::string of(int64_t part, int64_t whole) {
  return sorted_cell(std::to_string(part) + " of " + std::to_string(whole),
                     static_cast<double>(part));
}

bool has_missing(const Summary& s) {
  return std::any_of(s.all.begin(), s.all.end(),
                     [](const ModelSummary& one) { return one.diverged > 0; });
}

// By the means over the cells in which both have a figure.
std::string configurations_won(const Summary& summary, size_t m) {
  int64_t wins = 0, contests = 0;
  for (const Configuration& one : summary.configurations) {
    const Duel& duel = one.models[m].duel;
    contests += duel.contests > 0;
    wins += summary.better(duel.geo.test.mean, duel.other.test.mean);
  }
  return of(wins, contests);
}

// The figure of the epoch that was best, by the validation rows where there are some.
Head best_head(const Summary& summary, const std::string& by_validation,
               const std::string& by_training) {
  const ModelResult& any = summary.good[0]->models[0];
  if (any.best_by == "train")
    return {by_training, "", "the test figure after the epoch with the lowest training loss"};
  return {by_validation, "", "the test figure after the epoch with the best validation figure"};
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

std::vector<Head> model_head(const Summary& summary) {
  const std::string metric = metric_name(summary);
  std::vector<Head> head = {{"model", "text"}, {"test " + metric, ""}};
  if (summary.shapes.size() > 1)
    for (const auto& shape : summary.shapes) head.push_back({shape, ""});
  head.push_back({"train " + metric, ""});
  if (summary.has_validation()) head.push_back({"validation", ""});
  if (has_best(summary))
    head.push_back(best_head(summary, "at best epoch", "at lowest train loss"));
  head.push_back({"parameters", ""});
  head.push_back({"step (ms)", "", "the median time of a training step"});
  head.push_back({"training (s)", "", "the whole training, its evaluations included"});
  head.push_back({"memory (MB)", "", "the most that tensors took at a time"});
  if (has_missing(summary))
    head.push_back({"with figures", "", "cells in which the loss stayed finite"});
  if (has_duels(summary)) {
    head.push_back(
        {"geo better, cells", "", "cells in which geo_sparse has the better test figure"});
    head.push_back({"configurations", "",
                    "configurations in which geo_sparse is better by the mean over the seeds"});
  }
  return head;
}

std::vector<Head> cell_head(const Summary& summary) {
  const std::string metric = metric_name(summary);
  std::vector<Head> head = {
      {"model", "text"}, {"test " + metric, ""}, {"shape", "text"}, {"depth", ""},
      {"k", ""},         {"activation", "text"}, {"seed", ""},      {"train " + metric, ""}};
  if (summary.has_validation()) head.push_back({"validation", ""});
  if (has_best(summary)) {
    head.push_back({"best epoch", ""});
    head.push_back(best_head(summary, "test then", "test then"));
  }
  const bool classes = summary.classification;
  head.push_back({classes ? "cross-entropy" : "test r2", ""});
  head.push_back({classes ? "macro F1" : "test mae", ""});
  head.push_back({"parameters", ""});
  head.push_back({"off by", "", "how far the parameters are from those of geo_sparse"});
  head.push_back({"step (ms)", "", "the median time of a training step"});
  head.push_back({"25 to 75 %", "", "between these the middle half of the steps took, in ms"});
  head.push_back({"training (s)", ""});
  head.push_back({"rows/s", "", "training rows per second of training"});
  head.push_back({"memory (MB)", "", "the most that tensors took at a time"});
  head.push_back({"non-finite steps", "", "steps with a loss or a gradient that is not finite"});
  return head;
}

Cells cell_row(const Summary& summary, const Cell& cell, size_t m, const ModelResult& model) {
  const double area = static_cast<double>(cell.rows * cell.columns);
  Cells row = {row_head(model_cell(summary, m)),
               metric_cell(summary, summary.metric(model.test)),
               sorted_cell(shape_name(cell), area, "text"),
               td(std::to_string(cell.depth)),
               td(std::to_string(cell.k)),
               text_cell(cell.activation),
               td(std::to_string(cell.seed)),
               metric_cell(summary, summary.metric(model.train))};
  if (summary.has_validation())
    row.push_back(metric_cell(summary, summary.metric(model.validation)));
  if (has_best(summary)) {
    row.push_back(number_cell(model.best_epoch));
    row.push_back(metric_cell(summary, summary.metric(model.best_test)));
  }
  row.push_back(number_cell(summary.classification ? model.test.loss : model.test.r2));
  row.push_back(number_cell(summary.classification ? model.test.macro_f1 : model.test.mae));
  row.push_back(number_cell(model.parameters));
  row.push_back(sorted_cell(percent(model.mismatch_ratio), model.mismatch_ratio));
  row.push_back(number_cell(model.step_ms));
  row.push_back(sorted_cell(number(model.step_ms_p25) + " to " + number(model.step_ms_p75),
                            model.step_ms_p25));
  for (const double value :
       {model.train_s, model.samples_per_s, megabytes(model.memory_bytes), model.nonfinite_steps})
    row.push_back(number_cell(value));
  return row;
}

}  // namespace

std::string model_table(const Summary& summary) {
  const bool several = summary.good.size() > 1, shapes = summary.shapes.size() > 1;
  const std::vector<Head> head = model_head(summary);
  std::vector<Cells> rows;
  for (size_t m = 0; m < summary.models.size(); ++m) {
    const ModelSummary& model = summary.all[m];
    Cells row = {row_head(model_cell(summary, m)), metric_cell(summary, model.test.mean)};
    if (shapes)
      for (const auto& by : summary.by_shape) row.push_back(metric_cell(summary, by[m].test.mean));
    row.push_back(metric_cell(summary, model.train.mean));
    if (summary.has_validation()) row.push_back(metric_cell(summary, model.validation.mean));
    if (has_best(summary)) row.push_back(metric_cell(summary, model.best_test.mean));
    for (const double value : {model.parameters.mean, model.step_ms.mean, model.train_s.mean,
                               megabytes(model.memory_bytes.mean)})
      row.push_back(number_cell(value));
    if (has_missing(summary)) row.push_back(of(model.test.count, model.cells));
    if (has_duels(summary)) {
      row.push_back(m == 0 ? td("") : of(model.duel.wins, model.duel.contests));
      row.push_back(m == 0 ? td("") : configurations_won(summary, m));
    }
    rows.push_back(row);
  }
  for (const auto& name : summary.line_names())
    rows.push_back(line_row(summary, name, head.size()));
  return table(several ? "By model: means over the cells that have the figure" : "By model", head,
               rows);
}

std::string configuration_table(const Summary& summary) {
  std::vector<Head> head = {{"configuration", "text"}, {"shape", "text"}, {"seeds", ""}};
  for (const auto& name : summary.models) head.push_back({name, ""});
  const bool geo = summary.models[0] == "geo_sparse" && summary.models.size() > 1;
  if (geo)
    head.push_back({"geo better", "",
                    "how often geo_sparse has the better test figure, over seeds and baselines"});
  std::vector<Cells> rows;
  for (const Configuration& one : summary.configurations) {
    const double area = static_cast<double>(one.cells[0]->rows * one.cells[0]->columns);
    Cells row = {row_head(html(one.label)), sorted_cell(one.shape, area, "text"),
                 td(std::to_string(one.cells.size()))};
    double best = NAN;
    for (const ModelSummary& model : one.models)
      if (summary.better(model.test.mean, best)) best = model.test.mean;
    int64_t wins = 0, contests = 0;
    for (const ModelSummary& model : one.models) {
      row.push_back(spread_cell(summary, model.test, model.test.mean == best ? "win" : ""));
      wins += model.duel.wins;
      contests += model.duel.contests;
    }
    if (geo) row.push_back(of(wins, contests));
    rows.push_back(row);
  }
  return table("Test " + metric_name(summary) +
                   " by configuration: mean over the seeds, smallest to largest; the best in bold",
               head, rows);
}

std::string cell_table(const Summary& summary) {
  const std::vector<Head> head = cell_head(summary);
  std::vector<Cells> rows;
  for (const Cell* cell : summary.good)
    for (size_t m = 0; m < summary.models.size(); ++m)
      if (const ModelResult* model = find_model(*cell, summary.models[m]))
        rows.push_back(cell_row(summary, *cell, m, *model));
  return table("All results", head, rows);
}

std::string failure_table(const Summary& summary) {
  std::vector<Cells> rows;
  for (const Cell* cell : summary.failed)
    rows.push_back({row_head(html(cell->id)), td(html(cell->error), " class=\"text long\"")});
  return table("Cells without figures", {{"cell", "text"}, {"why", "text"}}, rows);
}

std::string legend(const Summary& summary) {
  std::string out = "<ul class=\"legend\">";
  for (size_t m = 0; m < summary.models.size(); ++m)
    out += "<li>" + model_cell(summary, m) + "</li>";
  return out + "</ul>\n";
}

}  // namespace sinew::tools
