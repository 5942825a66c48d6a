// The table of make_connectivity as two grids, the layer's inputs and its outputs, with a line per
// input that the neuron reads. Large grids are cut to the surroundings of these inputs.
#include "report_network.h"
#include "command.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "report_text.h"
#include "sinew/error.h"

namespace sinew::tools {
namespace {

constexpr int64_t most_cells = 1 << 16, most_edges = 1 << 22;
constexpr double width = 380, grid_width = 150;

std::string at(const char* name, double value) {
  return " " + std::string(name) + "=\"" + format("%.5g", value) + "\"";
}
std::string text(double x, double y, const std::string& content, const std::string& more = "") {
  return "<text" + at("x", x) + at("y", y) + " text-anchor=\"middle\"" + more + ">" +
         html(content) + "</text>";
}
std::string rect(double x, double y, double w, double h, const char* kind, const char* more = "") {
  return "<rect class=\"" + std::string(kind) + "\"" + at("x", x) + at("y", y) + at("width", w) +
         at("height", h) + more + "/>";
}

struct Place {
  int64_t row, column;
};

std::string shown(const Place& p) {
  return "(" + std::to_string(p.row) + ", " + std::to_string(p.column) + ")";
}

// The inputs of one neuron, and the part of the grid that is drawn.
struct Neuron {
  Place place;
  std::map<int64_t, int64_t> inputs;  // cell -> how often it is read
  int64_t top, bottom, left, right;   // inclusive
};

// From the neuron's surroundings up to every input; then wider until there are at least nine.
void surround(int64_t& low, int64_t& high, int64_t size) {
  low = std::max<int64_t>(low - 1, 0);
  high = std::min(high + 1, size - 1);
  while (high - low < 8 && high - low + 1 < size) {
    if (high < size - 1) ++high;
    if (low > 0 && high - low < 8) --low;
  }
}

Neuron neuron_of(const Connectivity& table, Place place, int64_t rows, int64_t columns) {
  Neuron out{place, {}, place.row, place.row, place.column, place.column};
  const int64_t cell = place.row * columns + place.column;
  for (int64_t j = 0; j < table.k; ++j) {
    const int64_t input = table.table[static_cast<size_t>(cell * table.k + j)];
    ++out.inputs[input];
    out.top = std::min(out.top, input / columns);
    out.bottom = std::max(out.bottom, input / columns);
    out.left = std::min(out.left, input % columns);
    out.right = std::max(out.right, input % columns);
  }
  surround(out.top, out.bottom, rows);
  surround(out.left, out.right, columns);
  return out;
}

class Drawing {
 public:
  Drawing(const Neuron& neuron, int64_t rows, int64_t columns)
      : n_(neuron), rows_(rows), columns_(columns) {
    const double tall = static_cast<double>(n_.bottom - n_.top + 1);
    const double wide = static_cast<double>(n_.right - n_.left + 1);
    cell_ = grid_width / std::max(tall, wide);
    grid_w_ = cell_ * wide;
    grid_h_ = cell_ * tall;
  }

  std::string draw(const std::string& id, const std::string& which) const {
    const std::string title = "What the neuron in " + which + " reads";
    std::string out = "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 " + format("%g", width) +
                      " " + format("%.5g", top_ + grid_h_ + 8) + "\" aria-labelledby=\"" + id +
                      "t " + id + "d\"><title id=\"" + id + "t\">" + html(title) +
                      "</title><desc id=\"" + id + "d\">" + html(describe()) + "</desc>";
    out += text(left_ + grid_w_ / 2, 14, "inputs") + text(right_ + grid_w_ / 2, 14, "neurons");
    out += grid(left_) + grid(right_);
    for (const auto& [input, times] : n_.inputs) out += input_cell(input, times);
    out += square(left_, n_.place, "self") + square(right_, n_.place, "mark s0");
    for (const auto& [input, times] : n_.inputs) out += edge(input, times);
    return "<figure>" + out + "</svg><figcaption>" + html(caption(which)) +
           "</figcaption></figure>";
  }

 private:
  Place place_of(int64_t cell) const { return {cell / columns_, cell % columns_}; }
  double x(double from, int64_t column) const {
    return from + cell_ * static_cast<double>(column - n_.left);
  }
  double y(int64_t row) const { return top_ + cell_ * static_cast<double>(row - n_.top); }

  std::string grid(double from) const {
    std::string lines;
    const auto add = [&](double x1, double y1, double x2, double y2) {
      lines += "M" + format("%.5g", x1) + " " + format("%.5g", y1) + "L" + format("%.5g", x2) +
               " " + format("%.5g", y2);
    };
    for (int64_t r = n_.top; r <= n_.bottom + 1; ++r) add(from, y(r), from + grid_w_, y(r));
    for (int64_t c = n_.left; c <= n_.right + 1; ++c)
      add(x(from, c), top_, x(from, c), top_ + grid_h_);
    return "<path class=\"cells\" d=\"" + lines + "\"/>";
  }

  std::string square(double from, const Place& p, const char* kind) const {
    return rect(x(from, p.column), y(p.row), cell_, cell_, kind);
  }

  std::string input_cell(int64_t input, int64_t times) const {
    const Place p = place_of(input);
    std::string out = square(left_, p, "read");
    if (times > 1 && cell_ >= 11)
      out += text(x(left_, p.column) + cell_ / 2, y(p.row) + cell_ / 2 + 4, std::to_string(times),
                  " class=\"times\"");
    return out;
  }

  std::string edge(int64_t input, int64_t times) const {
    const Place p = place_of(input);
    return "<line class=\"edge\"" + at("x1", x(left_, p.column) + cell_) +
           at("y1", y(p.row) + cell_ / 2) + at("x2", x(right_, n_.place.column)) +
           at("y2", y(n_.place.row) + cell_ / 2) +
           at("stroke-width", std::min(0.6 + 0.4 * static_cast<double>(times), 4.0)) + "/>";
  }

  std::string describe() const {
    std::string out = "Neuron (row, column) " + shown(n_.place) + " reads";
    size_t named = 0;
    for (const auto& [input, times] : n_.inputs) {
      if (++named > 64) return out + " and others.";
      out += (named > 1 ? ", " : " ") + shown(place_of(input)) +
             (times > 1 ? " " + std::to_string(times) + " times" : "");
    }
    return out + ".";
  }

  std::string caption(const std::string& which) const {
    int64_t reads = 0;
    for (const auto& [input, times] : n_.inputs) reads += times;
    const int64_t different = static_cast<int64_t>(n_.inputs.size());
    std::string out =
        "Neuron " + shown(n_.place) + ", in " + which + ": " + plural(reads, "input") + ", " +
        (different == reads ? "all different" : std::to_string(different) + " different");
    const int64_t own = n_.place.row * columns_ + n_.place.column;
    out += n_.inputs.count(own) > 0 ? ", its own cell among them." : ", its own cell not.";
    if (n_.bottom - n_.top + 1 < rows_ || n_.right - n_.left + 1 < columns_)
      out += " Shown: rows " + std::to_string(n_.top) + " to " + std::to_string(n_.bottom) +
             ", columns " + std::to_string(n_.left) + " to " + std::to_string(n_.right) + " of " +
             std::to_string(rows_) + "x" + std::to_string(columns_) + ".";
    return out;
  }

  const Neuron& n_;
  int64_t rows_, columns_;
  double cell_, grid_w_, grid_h_;
  double left_ = 8, right_ = width - 8 - grid_width, top_ = 22;
};

}  // namespace

std::string connectivity_drawing(const NetworkConfig& config, const std::string& id) {
  const auto instead = [](const std::string& sentence) { return "<p>" + html(sentence) + "</p>"; };
  const ConnectivityOptions& options = config.connectivity;
  if (options.shape.size() != 2) return instead("This network has no grid.");
  const int64_t rows = options.shape[0], columns = options.shape[1];
  if (rows > most_cells || columns > most_cells || rows * columns > most_cells ||
      options.k > most_edges / (rows * columns))
    return instead("The grid is too large to be drawn.");
  try {
    const SharedConnectivity table = make_connectivity(options);
    const Neuron middle = neuron_of(*table, {rows / 2, columns / 2}, rows, columns);
    const Neuron corner = neuron_of(*table, {0, 0}, rows, columns);
    return Drawing(middle, rows, columns).draw(id + "m", "the middle") +
           Drawing(corner, rows, columns).draw(id + "c", "a corner");
  } catch (const Error& error) {
    return instead(std::string("The connectivity cannot be drawn: ") + error.what());
  }
}

std::string block_drawing(const NetworkConfig& config, const std::string& activations,
                          const std::string& depths, const std::string& id) {
  const std::string k = ", k " + std::to_string(config.connectivity.k);
  const std::vector<std::string> boxes = {
      config.norm == NormKind::none ? "no norm" : std::string(name(config.norm)) + " norm",
      "geo_linear" + k, activations, "geo_linear" + k, "\u00d7 \u03b1"};
  const double box = 150, height = 26, pitch = 42, middle = 150, side = 300;
  const double end = 34 + pitch * static_cast<double>(boxes.size());
  const auto arrow = [&](double from, double to) {
    return "<path class=\"wire\" d=\"M" + format("%g", middle) + " " + format("%g", from) + "V" +
           format("%g", to) + "\" marker-end=\"url(#" + id + "a)\"/>";
  };
  std::string out =
      "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 380 " + format("%g", end + 52) +
      "\" aria-labelledby=\"" + id + "t " + id + "d\"><title id=\"" + id +
      "t\">One block</title><desc id=\"" + id +
      "d\">The input goes through norm, geo_linear, activation and geo_linear, is multiplied by "
      "alpha and added to the input itself.</desc><defs><marker id=\"" +
      id +
      "a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
      "orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>";
  out += text(middle, 12, "x");
  for (size_t i = 0; i < boxes.size(); ++i) {
    const double y = 34 + pitch * static_cast<double>(i);
    out += arrow(i == 0 ? 16 : y - pitch + height, y - 1) +
           rect(middle - box / 2, y, box, height, "box", " rx=\"4\"") +
           text(middle, y + 17, boxes[i]);
  }
  const double plus = end + 8;
  out += arrow(end - pitch + height, plus - 11) + "<circle class=\"box\"" + at("cx", middle) +
         at("cy", plus) + " r=\"10\"/>" + text(middle, plus + 4, "+") +
         arrow(plus + 10, plus + 28) + text(middle, plus + 41, "y");
  out += "<path class=\"wire\" d=\"M" + format("%g", middle) + " 23H" + format("%g", side) + "V" +
         format("%g", plus) + "H" + format("%g", middle + 11) + "\" marker-end=\"url(#" + id +
         "a)\"/>";
  return "<figure>" + out + "</svg><figcaption>One of " + html(depths) +
         (depths == "1" ? " block" : " blocks") + "; after the last one a dense layer with " +
         plural(config.output_dim, "output") + ".</figcaption></figure>";
}

}  // namespace sinew::tools
