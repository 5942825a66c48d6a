// What this build and this machine are: for `sinew info` and for the records of runs.
#pragma once
#include <nlohmann/json.hpp>

#include "command.h"

namespace sinew::tools {

// timestamp (UTC), hostname, platform, version, commit, build {type, isa, static, gzip}, compiler,
// processor, instruction_sets, isa and threads (of this thread), memory_total_bytes, device,
// precision, tf32, graph (are steps recorded), fusion, cuda_build, driver, devices. What is not
// there is null.
nlohmann::ordered_json environment(const RunFlags& run);

}  // namespace sinew::tools
