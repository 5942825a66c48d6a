// The tables of the report.
#pragma once
#include <string>

#include "report_summary.h"

namespace sinew::tools {

std::string model_table(const Summary& summary);          // a row per model and reference line
std::string configuration_table(const Summary& summary);  // means over seeds, by model
std::string cell_table(const Summary& summary);           // a row per cell and model
std::string failure_table(const Summary& summary);        // cells without figures
std::string legend(const Summary& summary);

}  // namespace sinew::tools
