// Answer, what failed, charts, tables, drawings, settings, in this order.
#include "report_html.h"

#include <algorithm>
#include <set>

#include "report_answer.h"
#include "report_network.h"
#include "report_style.h"
#include "report_tables.h"
#include "report_text.h"

namespace sinew::tools {
namespace {

constexpr size_t most_drawings = 8;

// At most `most` of them, with commas between; then how many more.
std::string listed(const std::vector<std::string>& names, size_t most = 6,
                   const char* between = ", ") {
  std::string out;
  for (size_t i = 0; i < names.size() && i < most; ++i) out += (i > 0 ? between : "") + names[i];
  return out + (names.size() > most ? " and " + std::to_string(names.size() - most) + " more" : "");
}

template <class Value>
std::vector<std::string> different(const Summary& summary, const Value& value) {
  std::vector<std::string> out;
  for (const Cell* cell : summary.good)
    if (const std::string one = value(*cell); std::find(out.begin(), out.end(), one) == out.end())
      out.push_back(one);
  return out;
}

std::vector<std::string> numbers(const Summary& summary, int64_t Cell::*member) {
  std::set<int64_t> values;
  for (const Cell* cell : summary.good) values.insert(cell->*member);
  std::vector<std::string> out;
  for (const int64_t value : values) out.push_back(std::to_string(value));
  return out;
}

std::string tasks(const Summary& summary) {
  return listed(different(summary, [](const Cell& cell) { return cell.task; }));
}

std::string title(const Summary& summary) {
  if (summary.good.empty()) return "Results without figures";
  const std::vector<std::string> rest(summary.models.begin() + 1, summary.models.end());
  return summary.models[0] + (rest.empty() ? "" : " against " + listed(rest)) + ": task " +
         tasks(summary);
}

Facts grid(const Summary& summary) {
  return {{"task", tasks(summary)},
          {"shape", listed(summary.shapes)},
          {"depth", listed(numbers(summary, &Cell::depth))},
          {"k", listed(numbers(summary, &Cell::k))},
          {"activation", listed(different(summary, [](const Cell& c) { return c.activation; }))},
          {"seed", listed(numbers(summary, &Cell::seed), 12)}};
}

// Each fact with its different values over the cells.
Facts merged(const Summary& summary, Facts Cell::*member) {
  Facts out;
  std::vector<std::pair<std::string, std::vector<std::string>>> found;
  for (const Cell* cell : summary.good)
    for (const auto& [name, value] : cell->*member) {
      const auto same = [&, &wanted = name](const auto& one) { return one.first == wanted; };
      auto at = std::find_if(found.begin(), found.end(), same);
      if (at == found.end()) at = found.insert(found.end(), {name, {}});
      if (std::find(at->second.begin(), at->second.end(), value) == at->second.end())
        at->second.push_back(value);
    }
  for (auto& [name, values] : found) {
    std::sort(values.begin(), values.end());
    const bool times = name == "when" && values.size() > 1;
    out.emplace_back(name, times ? values.front() + " to " + values.back() : listed(values, 4));
  }
  return out;
}

std::string definitions(const Facts& facts) {
  std::string out = "<dl>";
  for (const auto& [name, value] : facts)
    out += "<dt>" + html(name) + "</dt><dd>" + html(value) + "</dd>";
  return out + "</dl>\n";
}

std::string section(const std::string& id, const std::string& head, const std::string& content) {
  return "<section aria-labelledby=\"" + id + "\"><h2 id=\"" + id + "\">" + html(head) + "</h2>\n" +
         content + "</section>\n";
}

std::string fact(const Facts& facts, const std::string& name) {
  for (const auto& [key, value] : facts)
    if (key == name) return value;
  return "";
}

std::string head(const Results& results, const Summary& summary) {
  std::string out = "<header><h1>" + html(title(summary)) + "</h1>\n<p class=\"soft\">";
  std::string facts;
  const Facts machine = merged(summary, &Cell::machine);
  if (results.kind == Results::Kind::sweep) {
    facts = results.counts();
  } else {
    facts = listed(summary.shapes) + ", " + summary.configurations[0].label + ", seed " +
            std::to_string(summary.good[0]->seed);
  }
  for (const char* name : {"device", "processor", "when"})
    if (const std::string value = fact(machine, name); !value.empty()) facts += "; " + value;
  return out + html(facts) + "</p></header>\n";
}

std::string charts(const std::vector<FigureGroup>& groups, const Summary& summary) {
  std::string out;
  for (size_t g = 0; g < groups.size(); ++g) {
    const FigureGroup& group = groups[g];
    std::string content = legend(summary);
    if (!group.caption.empty()) content += "<p class=\"soft\">" + html(group.caption) + "</p>\n";
    content += "<div class=\"charts\">\n";
    for (size_t c = 0; c < group.charts.size(); ++c) {
      content += "<figure>";
      if (summary.shapes.size() > 1) content += "<h3>" + html(summary.shapes[c]) + "</h3>";
      content +=
          svg(group.charts[c], "g" + std::to_string(g) + "c" + std::to_string(c)) + "</figure>\n";
    }
    content += "</div>\n";
    if (group.not_drawn > 0)
      content += "<p class=\"soft\">Not drawn: " + plural(group.not_drawn, "point") +
                 " without a finite value, or not above 0 on a logarithmic axis.</p>\n";
    out += section("g" + std::to_string(g), group.title, content);
  }
  if (summary.shapes.size() > 1 || groups.empty()) return out;
  return "<div class=\"charts\">\n" + out + "</div>\n";
}

// One drawing per network that has another table.
std::string networks(const Summary& summary) {
  const std::string activations =
      listed(different(summary, [](const Cell& c) { return c.activation; }), 2, " or ");
  const std::string depths = listed(numbers(summary, &Cell::depth), 6, " or ");
  std::set<std::string> seen;
  std::string out;
  size_t drawn = 0;
  for (const Cell* cell : summary.good) {
    if (!cell->network) continue;
    const std::string label = shape_name(*cell) + ", k " + std::to_string(cell->k) + ", " +
                              (cell->pattern.empty() ? "network" : cell->pattern);
    if (!seen.insert(label).second || ++drawn > most_drawings) continue;
    const std::string id = "n" + std::to_string(drawn);
    out += "<details" + std::string(drawn == 1 ? " open" : "") + "><summary>" + html(label) +
           "</summary><div class=\"charts\">" + connectivity_drawing(*cell->network, id) +
           (drawn == 1 ? block_drawing(*cell->network, activations, depths, id + "b") : "") +
           "</div></details>\n";
  }
  if (drawn == 0) return "";
  if (drawn > most_drawings)
    out += "<p class=\"soft\">" + plural(static_cast<long long>(drawn - most_drawings), "other") +
           " not drawn.</p>\n";
  return section("networks", "The geo_sparse network",
                 "<p class=\"soft\">What one neuron of the first block reads: shaded inputs, a "
                 "number where an input is read more than once, a frame at the neuron's own "
                 "cell.</p>\n" +
                     out);
}

}  // namespace

std::string report_page(const Results& results, const Summary& summary,
                        const std::vector<FigureGroup>& groups) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>" +
      html(title(summary)) + "</title>\n<style>" + report_css + "</style>\n</head>\n<body>\n" +
      head(results, summary) + "<main>\n";
  out += "<ul class=\"answer\">";
  for (const auto& sentence : findings(summary)) out += "<li>" + html(sentence) + ".</li>";
  out += "</ul>\n";
  if (!summary.good.empty() && !summary.has_validation())
    out +=
        "<p class=\"soft\">No validation rows: nothing was stopped early; figures are of the last "
        "epoch.</p>\n";
  if (!summary.good.empty()) out += model_table(summary);
  if (!summary.failed.empty())
    out +=
        section("failed",
                plural(static_cast<long long>(summary.failed.size()), "cell") + " without figures",
                failure_table(summary));
  out += charts(groups, summary);
  if (!summary.good.empty()) {
    std::string tables;
    if (summary.configurations.size() > 1) tables += configuration_table(summary);
    out += section("tables", "All figures", tables + cell_table(summary)) + networks(summary);
    Facts settings = grid(summary);
    for (const auto& one : merged(summary, &Cell::training)) settings.push_back(one);
    out += section("settings", "Settings", definitions(settings));
    out += section("machine", "Build and machine", definitions(merged(summary, &Cell::machine)));
  }
  return out + "</main>\n<script>" + report_js + "</script>\n</body>\n</html>\n";
}

}  // namespace sinew::tools
