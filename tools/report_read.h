// The results of `sinew compare` and `sinew sweep` as structs. The files may be hostile: their
// number, size and depth are bounded; what is absent or null is NaN, 0 or empty here.
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sinew/nn.h"

namespace sinew::tools {

// Of one part of the data: loss is the mse, or the cross-entropy of a classification.
struct Figures {
  double loss = NAN;
  double mae = NAN, r2 = NAN;             // regression
  double accuracy = NAN, macro_f1 = NAN;  // classification, shares of 1
};

struct EpochFigures {
  double epoch = NAN;
  Figures train, validation, test;  // loss and accuracy only
};

struct ModelResult {
  std::string name;
  double parameters = NAN, mismatch_ratio = NAN;
  double step_ms = NAN, step_ms_p25 = NAN, step_ms_p75 = NAN;  // median, else mean
  double train_s = NAN, samples_per_s = NAN, memory_bytes = NAN;
  double nonfinite_steps = NAN, best_epoch = NAN;
  std::string best_by;                         // "val" or "train": whose loss best_epoch has least
  Figures train, validation, test, best_test;  // after the last epoch; best: of best_epoch
  std::vector<EpochFigures> curve;
};

struct ReferenceFigures {
  std::string name;
  Figures test;
};

// Names and values as text, in the order of the page.
using Facts = std::vector<std::pair<std::string, std::string>>;

struct Cell {
  std::string id;     // the folder's name in a sweep
  std::string error;  // why there are no figures; then only `id` counts beside it
  std::string task, activation, pattern;
  int64_t rows = 0, columns = 0, depth = 0, dense_depth = 0, k = 0, seed = 0, classes = 0;
  double match_tolerance = NAN;    // of mismatch_ratio
  bool has_training_curve = true;  // false: its losses are of targets scaled by several numbers
  Facts training, machine;         // settings that cells of a sweep share; where it was run
  std::optional<NetworkConfig> network;
  std::vector<ReferenceFigures> lines;
  std::vector<ModelResult> models;
};

struct Results {
  enum class Kind : uint8_t { comparison, sweep } kind = Kind::comparison;
  std::vector<Cell> cells;  // by id
  size_t missing = 0;       // cells that the sweep's manifest names and that have not ended
  // "8 cells", "4 of 8 cells; 4 are missing, 1 without figures"
  std::string counts() const;
};

// Of a folder with results.json, or one whose subfolders hold them, or one with the manifest of a
// sweep. Throws if it is none of these, and for a comparison or a sweep's manifest that is
// malformed. Of several cells these have an `error`: malformed ones; those with other settings than
// the first good one; those with the configuration and the seed of one before them.
Results read_results(const std::string& folder);

}  // namespace sinew::tools
