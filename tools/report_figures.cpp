// Test figures and step times against parameters, curves, geo_sparse against the baselines by
// configuration; one chart per shape, as reference lines and sizes differ between shapes.
#include "report_figures.h"

#include <algorithm>

#include "report_text.h"

namespace sinew::tools {
namespace {

constexpr size_t most_points = 300;  // of one curve

std::string spread(const Summary& summary, const Average& of) {
  if (of.count < 2) return metric_text(summary, of.mean);
  return metric_text(summary, of.mean) + " (" + metric_text(summary, of.low) + " to " +
         metric_text(summary, of.high) + ", " + std::to_string(of.count) + " seeds)";
}

// As drawn: accuracies in percent.
double drawn(const Summary& summary, double value) {
  return summary.classification ? 100 * value : value;
}

Scale metric_scale(const Summary& summary) {
  return summary.classification ? Scale::linear : Scale::logarithmic;
}

std::string metric_axis(const Summary& summary) {
  return metric_name(summary) + (summary.classification ? " (%)" : "");
}

Chart empty_chart(const Summary& summary, const std::string& name, const std::string& title,
                  const std::string& shape) {
  Chart out;
  out.name = name + (summary.shapes.size() > 1 ? "_" + shape : "");
  out.title = title + ", " + shape;
  for (size_t m = 0; m < summary.models.size(); ++m)
    out.series[series_of(summary, m)] = summary.models[m];
  return out;
}

void add_rules(Chart& chart, const Summary& summary, const std::string& shape) {
  for (const std::string& name : summary.line_names())
    if (const Average line = summary.line(name, shape); line.count > 0)
      chart.rules.push_back(
          {drawn(summary, line.mean), line_title(name) + " " + metric_text(summary, line.mean)});
}

using Place = Point (*)(const Summary&, const ModelSummary&);
// A mark per configuration and model; that of the first model on top.
void add_marks(Chart& chart, const Summary& summary, const std::string& shape, Place place) {
  for (const Configuration& one : summary.configurations)
    for (size_t m = one.shape == shape ? summary.models.size() : 0; m-- > 0;) {
      const ModelSummary& model = one.models[m];
      if (model.cells == 0) continue;
      chart.marks.push_back({place(summary, model), series_of(summary, m),
                             summary.models[m] + ", " + one.shape + ", " + one.label + ": " +
                                 number(model.parameters.mean) + " parameters, test " +
                                 metric_name(summary) + " " + spread(summary, model.test) +
                                 ", step " + number(model.step_ms.mean) + " ms, training " +
                                 number(model.train_s.mean) + " s",
                             summary.configurations.size() == 1 ? summary.models[m] : ""});
    }
}

// What a test figure costs: a word for it, where a mark stands, the axis.
struct Cost {
  const char *name, *at, *axis;
  Place place;
};
Chart cost_chart(const Summary& summary, const std::string& shape, const Cost& cost) {
  const std::string metric = metric_name(summary), against = cost.name;
  std::string file = metric + "_against_" + against;
  std::replace(file.begin(), file.end(), ' ', '_');
  Chart out = empty_chart(summary, file, "Test " + metric + " against " + against, shape);
  out.description = "A mark per configuration and model: mean test " + metric +
                    " over the seeds, at " + cost.at + ".";
  out.x = {cost.axis, Scale::logarithmic};
  out.y = {"test " + metric_axis(summary), metric_scale(summary)};
  add_marks(out, summary, shape, cost.place);
  add_rules(out, summary, shape);
  return out;
}

Chart parameters_chart(const Summary& summary, const std::string& shape) {
  return cost_chart(summary, shape,
                    {"parameters", "its number of parameters", "parameters",
                     [](const Summary& s, const ModelSummary& model) {
                       return Point{model.parameters.mean, drawn(s, model.test.mean)};
                     }});
}

Chart time_chart(const Summary& summary, const std::string& shape) {
  return cost_chart(summary, shape,
                    {"training time", "the mean time of its training in seconds",
                     "training time (s)", [](const Summary& s, const ModelSummary& model) {
                       return Point{model.train_s.mean, drawn(s, model.test.mean)};
                     }});
}

Chart step_chart(const Summary& summary, const std::string& shape) {
  Chart out =
      empty_chart(summary, "step_time_against_parameters", "Step time against parameters", shape);
  out.description =
      "A mark per configuration and model: median time of a training step in milliseconds, mean "
      "over the seeds, at its number of parameters.";
  out.x = {"parameters", Scale::logarithmic};
  out.y = {"step time (ms)", Scale::from_zero};
  add_marks(out, summary, shape, [](const Summary&, const ModelSummary& model) {
    return Point{model.parameters.mean, model.step_ms.mean};
  });
  return out;
}

// Mean over the cells of a shape, epoch by epoch, thinned out.
template <class Value>
Line mean_curve(const Summary& summary, const std::string& shape, size_t m, const Value& value) {
  std::vector<Average> x, y;
  for (const Cell* cell : summary.good) {
    const ModelResult* model = find_model(*cell, summary.models[m]);
    if (model == nullptr || shape_name(*cell) != shape) continue;
    if (model->curve.size() > x.size()) {
      x.resize(model->curve.size());
      y.resize(model->curve.size());
    }
    for (size_t i = 0; i < model->curve.size(); ++i) {
      x[i].add(model->curve[i].epoch);
      y[i].add(value(model->curve[i]));
    }
  }
  Line out;
  out.series = series_of(summary, m);
  const size_t step = x.size() / most_points + 1;
  for (size_t i = 0; i < x.size(); ++i)
    if (y[i].count > 0 && (i % step == 0 || i + 1 == x.size()))
      out.points.push_back({x[i].mean, y[i].mean});
  return out;
}

using Values = double (*)(const EpochFigures&);
Chart curve_chart(const Summary& summary, const std::string& shape, Chart out, Values solid,
                  Values dashed) {
  out.x = {"epoch", Scale::whole};
  for (size_t m = summary.models.size(); m-- > 0;) {
    Line line = mean_curve(summary, shape, m, dashed);
    line.stroke = Line::Stroke::dashed;
    out.lines.push_back(line);
    out.lines.push_back(mean_curve(summary, shape, m, solid));
  }
  const bool dashes = std::any_of(out.lines.begin(), out.lines.end(), [](const Line& line) {
    return line.stroke == Line::Stroke::dashed && !line.points.empty();
  });
  if (!dashes) out.solid.clear();
  return out;
}

Chart loss_curves(const Summary& summary, const std::string& shape) {
  const std::string loss = summary.classification ? "cross-entropy" : "mse";
  Chart out =
      empty_chart(summary, summary.classification ? "cross_entropy_by_epoch" : "mse_by_epoch",
                  "Training and test " + loss + " by epoch", shape);
  out.solid = "test";
  out.dashed = "training";
  out.description = "Per model the " + loss +
                    " of the test rows (solid) and of the training rows "
                    "(dashed) after each epoch.";
  out.y = {loss, Scale::logarithmic};
  if (!summary.classification) add_rules(out, summary, shape);
  return curve_chart(
      summary, shape, out, [](const EpochFigures& e) { return e.test.loss; },
      [](const EpochFigures& e) { return e.train.loss; });
}

Chart accuracy_curves(const Summary& summary, const std::string& shape) {
  Chart out = empty_chart(summary, "accuracy_by_epoch", "Accuracy by epoch", shape);
  out.solid = "test";
  out.dashed = "validation";
  out.description =
      "Per model the accuracy on the test rows (solid) and on the validation rows "
      "(dashed) after each epoch.";
  out.y = {metric_axis(summary), Scale::linear};
  add_rules(out, summary, shape);
  return curve_chart(
      summary, shape, out, [](const EpochFigures& e) { return 100 * e.test.accuracy; },
      [](const EpochFigures& e) { return 100 * e.validation.accuracy; });
}

Chart duel_chart(const Summary& summary, const std::string& shape) {
  Chart out = empty_chart(summary, metric_name(summary) + "_by_configuration",
                          "Test " + metric_name(summary) + " by configuration", shape);
  out.description = "A row per configuration, the best of " + summary.models[0] +
                    " first; a mark per model: the mean over the seeds; a line from the smallest "
                    "to the largest.";
  out.x = {"test " + metric_axis(summary), metric_scale(summary)};
  std::vector<const Configuration*> rows;
  for (const Configuration& one : summary.configurations)
    if (one.shape == shape) rows.push_back(&one);
  std::stable_sort(rows.begin(), rows.end(), [&](const Configuration* a, const Configuration* b) {
    return summary.better(a->models[0].test.mean, b->models[0].test.mean);
  });
  for (const Configuration* one : rows) {
    const double row = static_cast<double>(out.rows.size());
    Line join;
    join.series = -1;
    Average ends;
    for (size_t m = summary.models.size(); m-- > 0;) {
      const Average& test = one->models[m].test;
      if (one->models[m].cells == 0) continue;
      ends.add(drawn(summary, test.mean));
      if (test.count > 1 && drawable(out.x, test.low) && drawable(out.x, test.high))
        out.lines.push_back({{{drawn(summary, test.low), row}, {drawn(summary, test.high), row}},
                             series_of(summary, m),
                             Line::Stroke::whisker});
      out.marks.push_back({{drawn(summary, test.mean), row},
                           series_of(summary, m),
                           summary.models[m] + ", " + shape + ", " + one->label + ": test " +
                               metric_name(summary) + " " + spread(summary, test),
                           ""});
    }
    join.points = {{ends.low, row}, {ends.high, row}};
    out.lines.insert(out.lines.begin(), join);
    out.rows.push_back(one->label);
  }
  add_rules(out, summary, shape);
  return out;
}

using Draw = Chart (*)(const Summary&, const std::string&);
void add_group(std::vector<FigureGroup>& groups, const Summary& summary, const std::string& title,
               const std::string& caption, Draw draw) {
  FigureGroup group{title, caption, {}, 0};
  bool anything = false;
  for (const std::string& shape : summary.shapes) {
    group.charts.push_back(draw(summary, shape));
    group.not_drawn += prepare(group.charts.back());
    anything = anything || !group.charts.back().marks.empty();
    for (const Line& line : group.charts.back().lines) anything = anything || !line.points.empty();
  }
  if (anything) groups.push_back(std::move(group));
}

}  // namespace

std::vector<FigureGroup> figures(const Summary& summary) {
  std::vector<FigureGroup> out;
  if (summary.good.empty()) return out;
  const std::string metric = metric_name(summary);
  const bool several = summary.configurations.size() > 1;
  const std::string cells = several ? ", mean over the cells of a shape" : "";
  const std::string marks =
      several ? "A mark per configuration and model: mean over the seeds." : "";
  if (several)
    add_group(out, summary, "By configuration",
              "Mean over the seeds (" + summary.seeds() +
                  "), thin lines from the smallest to the largest; the best of " +
                  summary.models[0] + " first.",
              duel_chart);
  add_group(out, summary, "Test " + metric + " against parameters", marks, parameters_chart);
  add_group(out, summary, "Test " + metric + " against training time", marks, time_chart);
  add_group(out, summary, "Step time against parameters",
            "One training step without data, evaluation and recording: the median.", step_chart);
  if (summary.classification)
    add_group(
        out, summary, "Accuracy by epoch",
        (summary.has_validation() ? "Solid: test rows; dashed: validation rows" : "Test rows") +
            cells + ".",
        accuracy_curves);
  const bool training = std::all_of(summary.good.begin(), summary.good.end(),
                                    [](const Cell* cell) { return cell->has_training_curve; });
  add_group(out, summary, "Loss by epoch",
            training
                ? "Solid: test rows; dashed: training rows (mean of the batches while training)" +
                      cells + "."
                : "Test rows" + cells +
                      ". The training loss is of the scaled targets, each by a number of its "
                      "own, and has no place on this axis.",
            loss_curves);
  return out;
}

int series_of(const Summary& summary, size_t model) {
  const std::vector<std::string>& known = known_models();
  const auto found = std::find(known.begin(), known.end(), summary.models[model]);
  if (found != known.end()) return static_cast<int>(found - known.begin());
  return static_cast<int>(known.size() + model % 3);
}

std::string metric_name(const Summary& summary) {
  return summary.classification ? "accuracy" : "mse";
}

std::string metric_text(const Summary& summary, double value) {
  return summary.classification ? percent(value) : number(value);
}

}  // namespace sinew::tools
