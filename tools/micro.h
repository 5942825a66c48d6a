// What `sinew micro` times, and its files: one geo-sparse layer and one block, forward and with
// gradients. Flags: micro.cpp; calls and costs: micro_cases.cpp; files: micro_record.cpp.
#pragma once
#include <string>
#include <vector>

#include "bench_record.h"
#include "command.h"
#include "sinew/nn.h"

namespace sinew::tools {

struct MicroSettings {
  NetworkConfig network;  // geo_sparse, checked, with a seed; depth and output count for nothing
  std::string compute_mode = "gather";  // or scatter, or auto: both
  int64_t batch_size = 256, steps = 50, warmup = 10, seed = 0;
  bool ceilings = true;
  Precision precision;

  std::vector<std::string> modes() const;
};

enum class Part : uint8_t { linear, block };
// Forward: mode eval, no tape. Backward: mode train, loss = sum of the outputs, gradients of the
// parameters, update by SGD with rate 0; with dx also the gradient of the input.
enum class Work : uint8_t { forward, forward_backward, forward_backward_dx };
constexpr Work all_works[] = {Work::forward, Work::forward_backward, Work::forward_backward_dx};
const char* name(Part part);
const char* name(Work work);

struct MicroLine {
  Part part;
  std::string mode;
  Work work;
  Replay replay;
  Result result;    // a round per step, of one call
  double loop = 0;  // seconds per call of calls that are not waited for one by one
};

// One input of standard normal numbers and one table, which all lines share. Throws where they
// cannot be made.
class MicroCases {
 public:
  explicit MicroCases(const MicroSettings& settings);
  Prepared prepare(Part part, Work work) const;

 private:
  struct Subject;
  Cost cost_of(Part part, Work work, int64_t parameters) const;
  const MicroSettings& settings_;
  SharedConnectivity table_;
  Tensor x_;
};

// The table on stdout.
std::string micro_head();
std::string micro_row(const Result& result, const Ceilings& ceilings);
std::string label(const MicroLine& line);  // a row's name

// The mode with the least mean of layer and block, forward and backward; empty if there is one.
std::string recommended_mode(const std::vector<MicroLine>& lines);

// manifest.json, summary.csv, then results.json, in a folder that exists. Where one fails, none
// stays.
void write_micro(const std::string& folder, const MicroSettings& settings, const RunFlags& run,
                 const Ceilings& ceilings, const std::vector<MicroLine>& lines);
constexpr const char* micro_files[] = {"manifest.json", "summary.csv", "results.json"};

}  // namespace sinew::tools
