// Which charts the report has.
#pragma once
#include <string>
#include <vector>

#include "report_chart.h"
#include "report_summary.h"

namespace sinew::tools {

struct FigureGroup {
  std::string title, caption;
  std::vector<Chart> charts;  // prepared; one per shape
  int64_t not_drawn = 0;      // points without a place on their axes
};
std::vector<FigureGroup> figures(const Summary& summary);

// The colour of a model: fixed for the known ones.
int series_of(const Summary& summary, size_t model);
std::string metric_name(const Summary& summary);  // "mse" or "accuracy"
std::string metric_text(const Summary& summary, double value);

}  // namespace sinew::tools
