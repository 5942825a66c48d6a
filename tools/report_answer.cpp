// Who is better, in how many cells, at what cost; what stands in the way of comparing.
#include "report_answer.h"
#include "command.h"

#include "report_figures.h"
#include "report_text.h"

namespace sinew::tools {
namespace {

std::string figure(double value, const char* unit) { return format("%.3g ", value) + unit; }

// "3.7 times its step time (3.39 ms against 0.917 ms)"; empty where a side has no figure.
std::string times(const Average& ours, const Average& theirs, double factor, const char* unit,
                  const char* of) {
  if (!(ours.mean > 0 && theirs.mean > 0)) return "";
  return format("%.2g times its ", ours.mean / theirs.mean) + of + " (" +
         figure(ours.mean * factor, unit) + " against " + figure(theirs.mean * factor, unit) + ")";
}

std::string cost(const Duel& duel) {
  const auto& [geo, other, wins, contests, cells] = duel;
  const std::string time = times(geo.step_ms, other.step_ms, 1, "ms", "step time");
  const std::string memory = times(geo.memory_bytes, other.memory_bytes, 1e-6, "MB", "memory");
  if (time.empty() && memory.empty()) return "";
  return ", at " + time + (time.empty() || memory.empty() ? "" : " and ") + memory;
}

// " (7.1 times smaller)" of two losses.
std::string ratio(const Summary& summary, double ours, double theirs) {
  if (summary.classification || !(ours > 0 && theirs > 0) || ours == theirs) return "";
  const double times = ours < theirs ? theirs / ours : ours / theirs;
  return " (" + format(times < 100 ? "%.2g" : "%.3g", times) + " times " +
         (ours < theirs ? "smaller" : "larger") + ")";
}

// "12 of 14 cells", "12 of 13 comparable cells".
std::string share(int64_t wins, int64_t contests, int64_t cells) {
  return std::to_string(wins) + " of " +
         plural(contests, contests < cells ? "comparable cell" : "cell");
}

void add_wins(std::vector<std::string>& out, const Summary& summary) {
  for (size_t m = 1; m < summary.models.size(); ++m) {
    const Duel& duel = summary.all[m].duel;
    if (duel.contests == 0) continue;
    const double ours = duel.geo.test.mean, theirs = duel.other.test.mean;
    const std::string figures = "test " + metric_name(summary) + " " + metric_text(summary, ours) +
                                " against " + metric_text(summary, theirs) +
                                ratio(summary, ours, theirs) + cost(duel);
    const std::string better = "better than " + summary.models[m];
    if (duel.cells == 1)
      out.push_back("geo_sparse is " + std::string(duel.wins > 0 ? "" : "not ") + better + ": " +
                    figures);
    else
      out.push_back("geo_sparse is " + better + " in " +
                    share(duel.wins, duel.contests, duel.cells) + "; mean " + figures);
  }
}

// What makes the comparison less than it seems.
void add_faults(std::vector<std::string>& out, const Summary& summary) {
  for (size_t m = 0; m < summary.models.size(); ++m) {
    const ModelSummary& model = summary.all[m];
    const std::string& name = summary.models[m];
    const std::string of = " of " + plural(model.cells, "cell");
    if (model.diverged > 0)
      out.push_back(name + " diverged" +
                    (model.cells == 1 ? "" : " in " + std::to_string(model.diverged) + of) +
                    " (loss not finite)");
    if (model.mismatched == 0) continue;
    const std::string allowed = format("%.3g %%", 100 * summary.good[0]->match_tolerance);
    const std::string most = percent(model.most_mismatched);
    if (model.cells == 1)
      out.push_back("The parameters of " + name + " are off those of geo_sparse by " + most +
                    ", more than " + allowed);
    else
      out.push_back(std::to_string(model.mismatched) + " of " + std::to_string(model.cells) + " " +
                    name + (model.mismatched == 1 ? " has" : " have") + " more than " + allowed +
                    " more or fewer parameters than geo_sparse, at most " + most);
  }
}

// How often geo_sparse is better than a prediction without a network.
void add_lines(std::vector<std::string>& out, const Summary& summary) {
  for (const std::string& name : summary.line_names()) {
    int64_t wins = 0, contests = 0, cells = 0;
    for (const Cell* cell : summary.good) {
      const ModelResult* geo = find_model(*cell, "geo_sparse");
      for (const ReferenceFigures& line : cell->lines) {
        if (geo == nullptr || line.name != name) continue;
        ++cells;
        const double ours = summary.metric(geo->test), theirs = summary.metric(line.test);
        if (!std::isfinite(ours) || !std::isfinite(theirs)) continue;
        ++contests;
        wins += summary.better(ours, theirs) ? 1 : 0;
      }
    }
    if (contests == 0) continue;
    const std::string better = "better than " + line_title(name);
    if (cells == 1)
      out.push_back("geo_sparse is " + std::string(wins > 0 ? "" : "not ") + better + ": " +
                    metric_text(summary, summary.line(name, "").mean));
    else
      out.push_back("geo_sparse is " + better + " in " + share(wins, contests, cells));
  }
}

}  // namespace

std::vector<std::string> findings(const Summary& summary) {
  std::vector<std::string> out;
  if (summary.good.empty()) return {"No cell has figures"};
  add_wins(out, summary);
  add_lines(out, summary);
  add_faults(out, summary);
  if (summary.configurations.size() < 2) return out;
  if (const Configuration* best = summary.best(0)) {
    const Average& test = best->models[0].test;
    out.push_back("Best configuration of " + summary.models[0] + ": " + best->shape + ", " +
                  best->label + ", test " + metric_name(summary) + " " +
                  metric_text(summary, test.mean) +
                  (test.count > 1 ? " (mean of " + plural(test.count, "seed") + ")" : ""));
  }
  return out;
}

}  // namespace sinew::tools
