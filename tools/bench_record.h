// The results of `sinew bench` as text and JSON, and results of an earlier run.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench.h"
#include "command.h"

namespace sinew::tools {

struct BenchSettings {
  std::string device, isa, precision;
  int threads = 0;
  Replay replay = Replay::yes;
  Fusion fusion = Fusion::on;
  Sizes sizes = Sizes::full;
  Budget budget;
};

struct Result {
  std::string name;
  Cost cost;
  int64_t parameters = 0;
  Timing timing;
  std::string error;  // why the case failed; then there are no figures
};

// Rates of the device, of ceiling/copy and ceiling/matmul; absent if that failed.
struct Ceilings {
  std::optional<double> bytes_per_s, operations_per_s;
  void take(const Result& result);
};

std::string table_head(const BenchSettings& settings);
std::string table_row(const Result& result, const Ceilings& ceilings);
// The columns that depend on the median alone: bytes, operations, their rates and shares.
std::string rates_head();
std::string rates(const Result& result, const Ceilings& ceilings);

// environment, settings, ceilings, cases. Times in ms, rates in 1e9 per second, shares of 1.
std::string to_json(const std::vector<Result>& results, const Ceilings& ceilings,
                    const BenchSettings& settings, const RunFlags& run);

// What --compare needs of an earlier run's JSON.
struct Earlier {
  struct Times {
    std::string name;
    double median = 0, min = 0, max = 0;  // ms
  };
  std::map<std::string, std::string> settings;  // values as JSON
  std::vector<Times> cases;
};
// Throws for what is not such a file. Cases that failed then are left out.
Earlier parse_earlier(const std::string& text);
// The ratio old / new (above 1: faster now) of each case, with the least and largest ratio of their
// rounds; settings that differ; cases that only one side has.
std::string comparison(const Earlier& earlier, const std::vector<Result>& results,
                       const BenchSettings& settings);

}  // namespace sinew::tools
