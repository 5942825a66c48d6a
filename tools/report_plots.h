// The charts of the report as files, by gnuplot.
#pragma once
#include <string>
#include <vector>

#include "report_figures.h"

namespace sinew::tools {

enum class PlotFormat : uint8_t { png, svg };

// NAME.dat, and NAME.png or NAME.svg beside it, of every chart, in a folder that exists.
void write_plots(const std::string& folder, const std::vector<FigureGroup>& groups,
                 const std::vector<PlotFormat>& formats);

}  // namespace sinew::tools
