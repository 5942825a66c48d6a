// Figures of `sinew bench` as JSON, also for the records of `sinew micro`.
#pragma once
#include <nlohmann/json.hpp>

#include "bench_record.h"

namespace sinew::tools {

nlohmann::ordered_json case_json(const Result& result, const Ceilings& ceilings);
nlohmann::ordered_json ceilings_json(const Ceilings& ceilings);

}  // namespace sinew::tools
