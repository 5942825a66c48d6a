// What the digits example shows: progress, a table, drawings of digits, learning curves.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "digits_data.h"

// One training: its course and its end.
struct Run {
  std::vector<double> loss;      // mean over each epoch
  std::vector<double> accuracy;  // on the test rows after each epoch, in percent
  std::vector<int32_t> predictions;
  double step_seconds = 0;  // of one step, on average
  double seconds = 0;       // of the training, without the tests after each epoch
};

struct Contender {
  std::string name;
  int64_t parameters = 0;
  std::vector<Run> runs;  // one per seed

  double accuracy() const;  // mean over the runs at their end
};

// The line "what: 12 of 600, ..., about 5 s left" on stderr, if that is a terminal.
class Progress {
 public:
  explicit Progress(int64_t total) : total_(total) {}
  void advance(const std::string& what);
  void clear() const;

 private:
  int64_t total_, done_ = 0;
  bool terminal_ = is_terminal();
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  static bool is_terminal();
};

void print_table(const std::vector<Contender>& contenders);

// Four digits that were read rightly and up to four that were not.
void print_samples(const Digits& digits, const std::vector<int32_t>& predictions);

// Makes the folder. Throws if it cannot be made or no file can be written there.
void require_writable(const std::string& folder);

// Writes curves.csv and the gnuplot script curves.gp to the folder, and draws curves.png if gnuplot
// is installed. Says what it did.
void write_curves(const std::string& folder, const std::vector<Contender>& contenders);
