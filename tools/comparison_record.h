// The JSON of a comparison's parts. Fields: docs/results.md.
#pragma once
#include "comparison.h"

namespace sinew::tools {

// With the default shape, 4 x 4, and what shape and seed decide: features of the task, seeds of
// task, split and connectivity.
ComparisonSettings completed(ComparisonSettings settings);

// settings_record and what follows from it and from the data.
nlohmann::ordered_json manifest(const ComparisonSettings& settings, const RunFlags& run,
                                const std::optional<FileTask>& files,
                                const std::vector<Contender>& contenders,
                                const ComparisonData& data, const Task& task);
nlohmann::ordered_json model_json(const Contender& contender, int64_t trainable,
                                  const ContenderRun& run, const ComparisonSettings& settings,
                                  int64_t rows);
nlohmann::ordered_json line_json(const ReferenceLine& line);

}  // namespace sinew::tools
