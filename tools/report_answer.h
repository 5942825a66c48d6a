// The main findings, in sentences of plain text without a full stop.
#pragma once
#include <string>
#include <vector>

#include "report_summary.h"

namespace sinew::tools {

std::vector<std::string> findings(const Summary& summary);

}  // namespace sinew::tools
