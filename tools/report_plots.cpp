// A chart's data as blocks of one .dat file, and a script that draws them. Text of files is in the
// script only as gnuplot_text, and never as a file name.
#include "report_plots.h"
#include "command.h"

#include <filesystem>

#include "gnuplot.h"
#include "report_text.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

const char* const colours[] = {"#0067b0", "#c2500a", "#00805c", "#a8478a",
                               "#946300", "#4d5562", "#7a5cc0", "#8a3b3b"};
const int point_types[] = {7, 5, 9, 13, 11};

std::string exact(double value) { return format("%.17g", value); }

std::string colour(int series) {
  return " lc rgb '" + std::string(series < 0 ? "#b9bec7" : colours[series % 8]) + "'";
}

// The file's blocks, and the elements of `plot` that draw them.
struct Drawn {
  std::string data;
  std::vector<std::string> elements;
  int blocks = 0;

  void add(const std::string& comment, const std::vector<Point>& points, const std::string& how) {
    if (points.empty()) return;
    data += (blocks == 0 ? "# " : "\n\n# ") + printable(comment, 200) + "\n";
    for (const Point& p : points) data += exact(p.x) + " " + exact(p.y) + "\n";
    elements.push_back("DATA index " + std::to_string(blocks++) + " using 1:2 " + how);
  }
};

Drawn draw(const Chart& chart) {
  Drawn out;
  const double bottom = static_cast<double>(chart.rows.size()) - 0.5;
  for (size_t i = 0; i < chart.rules.size(); ++i) {
    const auto& [value, label] = chart.rules[i];
    const std::vector<Point> across = {{chart.x.low, value}, {chart.x.high, value}};
    const std::vector<Point> down = {{value, -0.5}, {value, bottom}};
    out.add(label, chart.rows.empty() ? across : down,
            "with lines dt " + std::to_string(3 + i % 3) + " lc rgb '#565d68' title " +
                gnuplot_text(label));
  }
  for (const Line& line : chart.lines) {
    const std::string who = line.series < 0 ? "between the models" : chart.series.at(line.series);
    const bool dashed = line.stroke == Line::Stroke::dashed;
    const bool whisker = line.stroke == Line::Stroke::whisker;
    const bool titled = line.series >= 0 && !dashed && !whisker;
    out.add(who + (dashed    ? ", " + chart.dashed
                   : whisker ? ", smallest to largest"
                             : ""),
            line.points,
            (whisker ? "with lines lw 1" : "with lines lw 2") + std::string(dashed ? " dt 2" : "") +
                colour(line.series) + (titled ? " title " + gnuplot_text(who) : " notitle"));
  }
  for (const auto& [series, name] : chart.series) {
    std::vector<Point> points;
    for (const Mark& mark : chart.marks)
      if (mark.series == series) points.push_back(mark.at);
    out.add(name, points,
            "with points pt " + std::to_string(point_types[series % 5]) + " ps 1" + colour(series) +
                " title " + gnuplot_text(name));
  }
  return out;
}

std::string axis(const char* which, const Axis& axis) {
  const std::string name = which;
  std::string out = "set " + name + "label " + gnuplot_text(axis.title) + "\nset " + name +
                    "range [" + exact(axis.low) + ":" + exact(axis.high) + "]\nset " + name +
                    "tics (";
  if (axis.scale == Scale::logarithmic) out = "set logscale " + name + "\n" + out;
  for (size_t i = 0; i < axis.ticks.size(); ++i)
    out += (i > 0 ? ", " : "") + gnuplot_text(short_number(axis.ticks[i])) + " " +
           exact(axis.ticks[i]);
  return out + ")\n";
}

std::string rows(const Chart& chart) {
  const std::string count = std::to_string(chart.rows.size());
  std::string out = "unset ylabel\nset yrange [" + count + " - 0.5:-0.5]\nset ytics (";
  for (size_t i = 0; i < chart.rows.size(); ++i)
    out += (i > 0 ? ", " : "") + gnuplot_text(chart.rows[i]) + " " + std::to_string(i);
  return out + ")\n";
}

std::string terminal(PlotFormat format, size_t height) {
  const std::string size = " noenhanced size 960," + std::to_string(height);
  if (format == PlotFormat::svg) return "set terminal svg background rgb 'white'" + size + "\n";
  // The plain one draws no dashes.
  return "if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) { set terminal pngcairo" + size +
         " } else { set terminal png truecolor" + size + " }\n";
}

std::string script(const Chart& chart, const Drawn& drawn) {
  std::string out = "set title " + gnuplot_text(chart.title) +
                    "\nset grid lt 1 lc rgb '#d9dce1'\nset key outside right top Left reverse "
                    "samplen 2 noenhanced\n" +
                    axis("x", chart.x) + (chart.rows.empty() ? axis("y", chart.y) : rows(chart)) +
                    "plot ";
  for (size_t i = 0; i < drawn.elements.size(); ++i)
    out += (i > 0 ? ", " : "") + gnuplot_text(chart.name + ".dat") +
           drawn.elements[i].substr(std::string("DATA").size());
  if (chart.solid.empty()) return out + "\n";
  for (const auto& [title, dashes] : {std::pair(chart.solid, "1"), std::pair(chart.dashed, "2")})
    out += ", NaN with lines lw 2 lc rgb '#1b1e23' dt " + std::string(dashes) + " title " +
           gnuplot_text((dashes[0] == '1' ? "solid: " : "dashed: ") + title);
  return out + "\n";
}

}  // namespace

void write_plots(const std::string& folder, const std::vector<FigureGroup>& groups,
                 const std::vector<PlotFormat>& formats) {
  for (const FigureGroup& group : groups)
    for (const Chart& chart : group.charts) {
      const Drawn drawn = draw(chart);
      if (drawn.elements.empty()) continue;
      write_file((std::filesystem::path(folder) / (chart.name + ".dat")).string(), drawn.data);
      const size_t height = chart.rows.empty() ? 500 : 220 + 18 * chart.rows.size();
      for (const PlotFormat format : formats)
        gnuplot_picture(folder, chart.name + (format == PlotFormat::png ? ".png" : ".svg"),
                        "set encoding utf8\n" + terminal(format, height), script(chart, drawn));
    }
}

}  // namespace sinew::tools
