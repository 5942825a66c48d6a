// Axes and marks of SVG charts. Coordinates of the picture are CSS pixels at its natural size.
#include "report_chart.h"
#include "command.h"

#include <algorithm>
#include <cmath>

#include "report_text.h"

namespace sinew::tools {
namespace {

constexpr double width = 380, plot_height = 220, row_height = 17;
constexpr double letter = 5.9, line_height = 12;  // of the small text
constexpr double largest = 1e30, smallest = 1e-30;

double round_step(double about) {  // 1, 2 or 5 times a power of ten, not below `about`
  const double power = std::pow(10, std::floor(std::log10(about)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= about * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

std::vector<double> linear_ticks(double low, double high, double least = 0) {
  const double step = std::max(round_step((high - low) / 5), least);
  const double first = std::ceil(low / step - 1e-9);
  std::vector<double> out;
  for (int i = 0; i < 12 && (first + i) * step <= high + 1e-9 * step; ++i)
    out.push_back((first + i) * step);
  return out;
}

std::vector<double> log_ticks(double low, double high) {
  const double decades = std::log10(high / low);
  if (decades < 0.7) return linear_ticks(low, high);
  const double step = std::max(1.0, std::ceil(decades / 7));
  std::vector<double> out;
  for (double power = std::floor(std::log10(low)); power <= std::log10(high); power += step)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10, power);
      if (tick >= low && tick <= high && (factor == 1 || decades < 2.6)) out.push_back(tick);
    }
  return out;
}

// Where an axis puts a value, 0 at its low end and 1 at its high end.
double share(const Axis& axis, double value) {
  if (axis.scale == Scale::logarithmic)
    return std::log(value / axis.low) / std::log(axis.high / axis.low);
  return (value - axis.low) / (axis.high - axis.low);
}

std::string at(const char* name, double value) {
  return " " + std::string(name) + "=\"" + format("%.5g", value) + "\"";
}

std::string text(double x, double y, const std::string& content, const std::string& more = "") {
  return "<text" + at("x", x) + at("y", y) + more + ">" + html(content) + "</text>";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& kind) {
  return "<line class=\"" + kind + "\"" + at("x1", x1) + at("y1", y1) + at("x2", x2) +
         at("y2", y2) + "/>";
}

std::string kind_of(const Line& line) {
  if (line.series < 0) return "join";
  const std::string series = " s" + std::to_string(line.series);
  if (line.stroke == Line::Stroke::whisker) return "whisker" + series;
  return "curve" + series + (line.stroke == Line::Stroke::dashed ? " dashed" : "");
}

class Picture {
 public:
  explicit Picture(const Chart& chart) : chart_(chart) {
    const bool rows = !chart.rows.empty();
    size_t widest = 0;
    for (const auto& row : chart.rows) widest = std::max(widest, row.size());
    for (const double tick : chart.y.ticks)
      if (!rows) widest = std::max(widest, short_number(tick).size());
    left_ = std::min(20 + letter * static_cast<double>(widest) + (rows ? -8 : 12), 0.5 * width);
    top_ =
        12 + (chart.rules.empty() ? 0 : 4 + line_height * static_cast<double>(chart.rules.size()));
    bottom_ = top_ + (rows ? row_height * static_cast<double>(chart.rows.size()) : plot_height);
  }

  std::string draw(const std::string& id) const {
    std::string out = "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 " + format("%g", width) +
                      " " + format("%g", bottom_ + 36) + "\" aria-labelledby=\"" + id + "t " + id +
                      "d\"><title id=\"" + id + "t\">" + html(chart_.title) +
                      "</title><desc id=\"" + id + "d\">" + html(chart_.description) + "</desc>";
    out += x_axis() + (chart_.rows.empty() ? y_axis() : row_labels());
    for (const Line& one : chart_.lines) out += path(one);
    for (size_t i = 0; i < chart_.rules.size(); ++i) out += rule(i);
    for (const Mark& mark : chart_.marks) out += point(mark);
    return out + labels() + "</svg>";
  }

 private:
  double x(double value) const { return left_ + share(chart_.x, value) * (right_ - left_); }
  double y(double value) const {
    if (!chart_.rows.empty()) return top_ + row_height * (value + 0.5);
    return bottom_ - share(chart_.y, value) * (bottom_ - top_);
  }

  std::string x_axis() const {
    std::string out;
    double free = -1e9;  // where the next label may start
    for (const double tick : chart_.x.ticks) {
      const std::string shown = short_number(tick);
      const double half = 0.5 * letter * static_cast<double>(shown.size());
      out += line(x(tick), top_, x(tick), bottom_, "grid");
      if (x(tick) - half < free) continue;
      out += text(x(tick), bottom_ + 14, shown, " text-anchor=\"middle\"");
      free = x(tick) + half + 3;
    }
    return out + line(left_, bottom_, right_, bottom_, "axis") +
           text(0.5 * (left_ + right_), bottom_ + 30, chart_.x.title, " text-anchor=\"middle\"");
  }

  std::string y_axis() const {
    std::string out;
    for (const double tick : chart_.y.ticks)
      out += line(left_, y(tick), right_, y(tick), "grid") +
             text(left_ - 5, y(tick) + 4, short_number(tick), " text-anchor=\"end\"");
    const std::string middle = format("%.5g", 0.5 * (top_ + bottom_));
    return out + line(left_, top_, left_, bottom_, "axis") +
           text(0, 0, chart_.y.title,
                " text-anchor=\"middle\" transform=\"translate(11 " + middle + ") rotate(-90)\"");
  }

  std::string row_labels() const {
    std::string out;
    for (size_t i = 0; i < chart_.rows.size(); ++i)
      out += text(left_ - 8, y(static_cast<double>(i)) + 4, chart_.rows[i], " text-anchor=\"end\"");
    return out;
  }

  std::string path(const Line& one) const {
    std::string out;
    for (const Point& p : one.points)
      out += (out.empty() ? "M" : "L") + format("%.5g", x(p.x)) + " " + format("%.5g", y(p.y));
    return out.empty() ? "" : "<path class=\"" + kind_of(one) + "\" d=\"" + out + "\"/>";
  }

  // Labels stand above the plot, where they cover nothing, beside a sample of their line.
  std::string rule(size_t i) const {
    const Rule& one = chart_.rules[i];
    const double height = 12 + line_height * static_cast<double>(i);
    const std::string kind = "rule r" + std::to_string(i % 3);
    const std::string across = chart_.rows.empty()
                                   ? line(left_, y(one.value), right_, y(one.value), kind)
                                   : line(x(one.value), top_, x(one.value), bottom_, kind);
    return across + line(left_, height - 4, left_ + 26, height - 4, kind) +
           text(left_ + 32, height, one.label, " class=\"note\"");
  }

  std::string point(const Mark& mark) const {
    const std::string drawn = marker(mark.series, x(mark.at.x), y(mark.at.y));
    if (mark.tip.empty()) return drawn;
    return "<g class=\"tip\"><title>" + html(mark.tip) + "</title>" + drawn + "</g>";
  }

  // Labels of marks, moved down until none covers the one above it.
  std::string labels() const {
    std::vector<const Mark*> marks;
    for (const Mark& mark : chart_.marks)
      if (!mark.label.empty()) marks.push_back(&mark);
    std::sort(marks.begin(), marks.end(),
              [&](const Mark* a, const Mark* b) { return y(a->at.y) < y(b->at.y); });
    std::string out;
    double free = -1e9;
    for (const Mark* mark : marks) {
      const double height = std::max(y(mark->at.y) + 4, free);
      const bool flip =
          x(mark->at.x) + 8 + letter * static_cast<double>(mark->label.size()) > width;
      out += text(x(mark->at.x) + (flip ? -8 : 8), height, mark->label,
                  flip ? " class=\"halo\" text-anchor=\"end\"" : " class=\"halo\"");
      free = height + line_height;
    }
    return out;
  }

  const Chart& chart_;
  double left_, top_, bottom_, right_ = width - 14;
};

}  // namespace

bool drawable(const Axis& axis, double value) {
  return std::isfinite(value) && std::abs(value) < largest &&
         (axis.scale != Scale::logarithmic || value > smallest);
}

void limit(Axis& axis, const std::vector<double>& values) {
  double low = INFINITY, high = -INFINITY;
  for (const double value : values) {
    if (!drawable(axis, value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = 1;
  if (axis.scale == Scale::logarithmic) {
    const double margin = std::max(std::pow(high / low, 0.05), high / low < 1.1 ? 1.1 : 1.02);
    axis.low = low / margin;
    axis.high = high * margin;
    axis.ticks = log_ticks(axis.low, axis.high);
    return;
  }
  if (axis.scale == Scale::from_zero) low = std::min(low, 0.0);
  const double margin = low == high ? std::max(0.5 * std::abs(low), 0.5) : 0.05 * (high - low);
  axis.low = axis.scale == Scale::from_zero && low == 0 ? 0 : low - margin;
  axis.high = high + margin;
  axis.ticks = linear_ticks(axis.low, axis.high, axis.scale == Scale::whole ? 1 : 0);
}

int64_t prepare(Chart& chart) {
  const bool rows = !chart.rows.empty();
  const auto bad = [&](const Point& p) {
    return !drawable(chart.x, p.x) || !drawable(chart.y, p.y);
  };
  std::erase_if(chart.rules,
                [&](const Rule& rule) { return !drawable(rows ? chart.x : chart.y, rule.value); });
  int64_t dropped = 0;
  std::vector<double> x, y;
  for (Line& line : chart.lines) {
    if (line.series >= 0) dropped += std::count_if(line.points.begin(), line.points.end(), bad);
    std::erase_if(line.points, bad);
    for (const Point& p : line.points) x.push_back(p.x), y.push_back(p.y);
  }
  dropped += static_cast<int64_t>(
      std::erase_if(chart.marks, [&](const Mark& mark) { return bad(mark.at); }));
  for (const Mark& mark : chart.marks) x.push_back(mark.at.x), y.push_back(mark.at.y);
  for (const Rule& rule : chart.rules) (rows ? x : y).push_back(rule.value);
  limit(chart.x, x);
  limit(chart.y, y);
  return dropped;
}

std::string marker(int series, double x, double y, double size) {
  const std::string kind = " class=\"mark s" + std::to_string(series) + "\"";
  const auto shape = [&](const std::vector<Point>& corners) {
    std::string out;
    for (const Point& p : corners)
      out += format("%.5g", x + size * p.x) + "," + format("%.5g ", y + size * p.y);
    return "<polygon" + kind + " points=\"" + out + "\"/>";
  };
  switch (series % 5) {
    case 1: return shape({{-.9, -.9}, {.9, -.9}, {.9, .9}, {-.9, .9}});
    case 2: return shape({{0, -1.2}, {1.1, .9}, {-1.1, .9}});
    case 3: return shape({{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}});
    case 4: return shape({{0, 1.2}, {1.1, -.9}, {-1.1, -.9}});
    default: return "<circle" + kind + at("cx", x) + at("cy", y) + at("r", size) + "/>";
  }
}

std::string svg(const Chart& chart, const std::string& id) { return Picture(chart).draw(id); }

}  // namespace sinew::tools
