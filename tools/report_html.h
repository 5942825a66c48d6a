// The page of the report: one file of HTML without anything from elsewhere.
#pragma once
#include <string>
#include <vector>

#include "report_figures.h"

namespace sinew::tools {

std::string report_page(const Results& results, const Summary& summary,
                        const std::vector<FigureGroup>& groups);

}  // namespace sinew::tools
