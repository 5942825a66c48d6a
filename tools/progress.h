// Progress of long work on stderr: on a terminal one live line with the time left, elsewhere one
// plain line per finished unit (an epoch, a cell).
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "command.h"

namespace sinew::tools {

class Progress {
 public:
  // `total` steps, of which `done` were done before this run.
  Progress(const RunFlags& flags, int64_t total, int64_t done);
  ~Progress();  // ends the live line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Live line only, at most ten times a second.
  void step(int64_t done, const std::string& text);
  // A unit is finished: the live line, or a line of its own.
  void unit(int64_t done, const std::string& text);
  double seconds() const;               // since the start
  std::string eta(int64_t done) const;  // "ETA 1 min 20 s", from the speed so far

 private:
  void show(int64_t done, const std::string& text);
  bool quiet_, live_;
  int64_t total_, first_;
  std::chrono::steady_clock::time_point start_, shown_;
  bool open_ = false;  // a live line is on the screen
};

std::string duration(double seconds);  // "0.3 s", "12 s", "3 min 5 s", "2 h 10 min"

}  // namespace sinew::tools
