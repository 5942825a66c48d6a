// What the report says about results: means over seeds and cells, wins of geo_sparse.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "report_read.h"

namespace sinew::tools {

// Of the finite ones among the numbers that were added.
struct Average {
  double mean = NAN, low = NAN, high = NAN;
  int64_t count = 0;
  void add(double value);
};

// geo_sparse against another model, where both have a finite test figure.
struct Duel {
  struct Side {
    Average test, step_ms, memory_bytes;
  } geo, other;
  int64_t wins = 0, contests = 0;  // wins: cells in which geo_sparse is strictly better
  int64_t cells = 0;               // that have both models
};

// What one model reached on a set of cells.
struct ModelSummary {
  Average test, train, validation, best_test;  // the metric
  Average parameters, step_ms, train_s, memory_bytes;
  int64_t cells = 0;           // that have the model; test.count of them have a figure
  int64_t diverged = 0;        // cells in which it has no finite test figure
  int64_t mismatched = 0;      // cells in which its parameters are off by more than is allowed
  double most_mismatched = 0;  // the largest share among these
  Duel duel;
};

// Cells that differ in their seeds only.
struct Configuration {
  std::string shape, label;  // "8x8", "depth 4, k 8, psann"
  std::vector<const Cell*> cells;
  std::vector<ModelSummary> models;  // as Summary::models
};

struct Summary {
  bool classification = false;      // the metric is the accuracy, else the mse
  std::vector<std::string> models;  // geo_sparse first, then known baselines, then others
  std::vector<std::string> shapes;  // as "8x8", the smallest first
  std::vector<const Cell*> good, failed;
  std::vector<Configuration> configurations;
  std::vector<ModelSummary> all;                    // by model
  std::vector<std::vector<ModelSummary>> by_shape;  // [shape][model]

  double metric(const Figures& figures) const;
  bool better(double a, double b) const;  // NaN is better than nothing
  // The one with the best mean test figure of a model; null if none has one.
  const Configuration* best(size_t model) const;
  // Of a reference line over the cells of a shape ("" for all), which may be none.
  Average line(const std::string& name, const std::string& shape) const;
  std::vector<std::string> line_names() const;
  bool has_validation() const;
  // The smallest and the largest number of seeds of a configuration: "3 seeds", "1 to 3 seeds".
  std::string seeds() const;
};

// Refers to `results`.
Summary summarize(const Results& results);

const std::vector<std::string>& known_models();  // in the order of tables and colours
std::string shape_name(const Cell& cell);
// A model of these cells, or null.
const ModelResult* find_model(const Cell& cell, const std::string& name);
// "predicting the mean" for mean, and so on; other names as they are.
std::string line_title(const std::string& name);

}  // namespace sinew::tools
