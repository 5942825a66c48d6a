// One comparison of a geo-sparse network with dense ones of matched size: what it depends on, the
// run, its files. `sinew compare` runs one, `sinew sweep` one per cell of its grid.
#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "command.h"
#include "sinew/compare.h"

namespace sinew::tools {

enum class Seeding : uint8_t { one_stream, fresh_per_model };

struct ComparisonSettings {
  NetworkConfig network;  // geo_sparse; without a seed it gets `seed`
  ContenderOptions contenders;
  TaskOptions task;  // features and seed are the network's and `seed`
  PrepareOptions data;
  TrainOptions train;
  Seeding seeding = Seeding::one_stream;
  int64_t seed = 0;
  int64_t timing_warmup_steps = 2, timing_epochs = 1;
  double match_tolerance = 0.01;
};

// Data from files in place of a synthetic task.
struct FileTask {
  Task task;                         // y: f32, or of a classification labels i32
  int64_t classes = 0;               // 0: a regression
  std::string data, target, digest;  // names of the files; a fingerprint of their numbers
  std::vector<std::string> columns;  // names of the targets, where the files have them
};

// All settings that the figures of a comparison depend on, by the names of manifest.json. Two runs
// with the same record on the same build and machine have the same figures.
nlohmann::ordered_json settings_record(const ComparisonSettings& settings, const RunFlags& run,
                                       const std::optional<FileTask>& files = {});

class Comparison {
 public:
  // Makes the data and the networks on the calling thread, whose device, threads and so on have
  // been set by run.apply(). Throws for what the settings say wrong.
  Comparison(const ComparisonSettings& settings, const RunFlags& run,
             std::optional<FileTask> files = {});
  ~Comparison();

  int64_t training_rows() const;
  int64_t steps() const;                      // of all models together
  std::vector<std::string> warnings() const;  // widths that match worse than match_tolerance
  // Trains and evaluates one model after the other; calls `watch` after every step, which may end
  // the run by an exception. Gives the content of results.json.
  using Watch = std::function<void(const std::string& model, const Trainer& trainer)>;
  nlohmann::ordered_json run(const Watch& watch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// manifest.json, summary.csv and last results.json in a folder that exists: each file appears
// whole, and a folder with results.json is complete.
void write_comparison(const std::string& folder, const nlohmann::ordered_json& results);

// A CSV with the union of the rows' keys, sorted, as columns; RFC 4180 quotes; null and missing
// values empty, lists and objects as JSON.
std::string to_csv(const std::vector<nlohmann::ordered_json>& rows);

}  // namespace sinew::tools
