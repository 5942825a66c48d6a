// Charts as data, drawn as SVG here and by gnuplot in report_plots.h.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sinew::tools {

enum class Scale : uint8_t { linear, from_zero, whole, logarithmic };  // whole: ticks there only

struct Axis {
  std::string title;  // with its unit
  Scale scale = Scale::linear;
  // Of what is drawn on it; made by limit().
  double low = 0, high = 1;
  std::vector<double> ticks = {};
};
// Limits around these values and ticks at round numbers: 1, 2, 5 times powers of ten.
void limit(Axis& axis, const std::vector<double>& values);
// Finite, and above 0 on a logarithmic axis.
bool drawable(const Axis& axis, double value);

struct Point {
  double x = 0, y = 0;
};
struct Mark {
  Point at;
  int series = 0;
  std::string tip, label;  // shown on pointing at it; written beside it
};
struct Line {
  std::vector<Point> points;
  int series = 0;  // -1: neutral
  enum class Stroke : uint8_t { solid, dashed, whisker } stroke = Stroke::solid;
};
// A reference across the chart, at a y; in a chart with rows at an x.
struct Rule {
  double value = 0;
  std::string label;
};

struct Chart {
  std::string name;  // of its files
  std::string title, description;
  Axis x, y;
  std::vector<std::string> rows;  // not empty: y counts these from the top, and has no axis
  std::map<int, std::string> series;
  std::string solid, dashed;  // what these lines are; solid is empty where there are no dashed ones
  std::vector<Line> lines;
  std::vector<Mark> marks;
  std::vector<Rule> rules;
};

// Sets the limits of both axes; drops points that cannot be drawn and gives their number.
int64_t prepare(Chart& chart);

// A prepared chart. `id` is unique in the page. Colours are the classes s0, s1, ... of its style.
std::string svg(const Chart& chart, const std::string& id);
// The mark of a series, around a point of an SVG.
std::string marker(int series, double x, double y, double size = 4);

}  // namespace sinew::tools
