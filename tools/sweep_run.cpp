// A thread takes the next cell until there is none. What a cell throws belongs to the cell; what
// its files throw ends the sweep. One mutex guards everything that threads share.
#include "sweep_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include "comparison.h"
#include "progress.h"
#include "run_folder.h"
#include "sinew/device.h"
#include "sinew/io.h"
#include "sweep_summary.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Interrupted {};  // a signal, or another cell's files could not be written

class Runner {
 public:
  Runner(const SweepWork& work, std::vector<CellState>& states)
      : work_(work),
        states_(states),
        parts_(work.to_do.size(), 0),
        warnings_(work.to_do.size()),
        progress_(work.run, per_cell * static_cast<int64_t>(work.to_do.size()), 0) {}

  void run();
  std::vector<std::string> warnings() const;

 private:
  static constexpr int64_t per_cell = 1000;  // units of progress
  void work();
  std::optional<size_t> next();
  void run_cell(size_t position);
  Json compare(size_t position);
  void step(size_t position, int64_t done, int64_t total);
  void finished(size_t position, double seconds);
  std::string line(const CellState& state, size_t cell, double seconds) const;
  bool summary_is_due() const;
  bool interrupted();

  const SweepWork& work_;
  std::vector<CellState>& states_;
  std::mutex mutex_;
  size_t next_ = 0, ended_ = 0;
  std::vector<int64_t> parts_;  // of each cell to do: units that are done
  int64_t done_ = 0;            // their sum
  std::exception_ptr fatal_;
  std::vector<std::vector<std::string>> warnings_;
  Clock::time_point summary_at_ = Clock::now();
  double summary_pause_ = 1;  // s
  bool refreshing_ = false;   // a thread writes the summary
  Progress progress_;
};

void Runner::run() {
  {
    std::vector<std::jthread> threads;
    try {
      for (size_t i = 0; i < work_.jobs; ++i) threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // no more threads to be had: those that run do the work
      if (threads.empty()) throw;
    }
  }
  try {
    if (work_.summary == SweepWork::Summary::kept_current) write_summary(work_.folder, states_);
  } catch (const Error&) {
    if (!fatal_) throw;
  }
  if (fatal_) std::rethrow_exception(fatal_);
  if (ended_ < work_.to_do.size())
    throw Stopped("; " + std::to_string(ended_) + " of " + std::to_string(work_.to_do.size()) +
                  " cells were run; --resume goes on from there");
}

std::vector<std::string> Runner::warnings() const {
  std::vector<std::string> out;
  for (const auto& of_cell : warnings_) out.insert(out.end(), of_cell.begin(), of_cell.end());
  return out;
}

void Runner::work() {
  try {
    work_.run.apply();
    while (const auto position = next()) run_cell(*position);
  } catch (const Interrupted&) {
    // the one who caused it says why
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!fatal_) fatal_ = std::current_exception();
  }
}

std::optional<size_t> Runner::next() {
  if (interrupted()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (next_ == work_.to_do.size()) return std::nullopt;
  return next_++;
}

bool Runner::interrupted() {
  if (stop_signal() != 0) return true;
  const std::lock_guard lock(mutex_);
  return fatal_ != nullptr;
}

void Runner::step(size_t position, int64_t done, int64_t total) {
  if (interrupted()) throw Interrupted();
  const std::lock_guard lock(mutex_);
  const int64_t part = per_cell * done / total;
  done_ += part - parts_[position];
  parts_[position] = part;
  progress_.step(done_,
                 "cell " + std::to_string(ended_ + 1) + "/" + std::to_string(work_.to_do.size()));
}

Json Runner::compare(size_t position) {
  const SweepCell& cell = work_.cells[work_.to_do[position]];
  Comparison comparison(cell.settings, work_.run);
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& warning : comparison.warnings())
      warnings_[position].push_back(cell.run_id + ": " + warning);
  }
  const int64_t total = comparison.steps();
  int64_t done = 0;
  return comparison.run([&](const std::string&, const Trainer&) { step(position, ++done, total); });
}

void Runner::run_cell(size_t position) {
  const auto start = Clock::now();
  const PlannedCell& cell = work_.plan.cells[work_.to_do[position]];
  const std::string folder = work_.folder + "/" + cell.folder(),
                    error_file = folder + "/error.json";
  make_folder(folder);
  remove_temporaries(folder);
  std::error_code ignored;
  std::filesystem::remove(error_file, ignored);
  if (states_[work_.to_do[position]].kind == CellState::Kind::broken)
    std::filesystem::remove(folder + "/results.json",
                            ignored);  // a pipe would take what is written
  Json results;
  std::string fault;
  try {
    results = compare(position);
  } catch (const std::bad_alloc&) {
    fault = "out of memory";
  } catch (const std::exception& error) {
    fault = error.what();
  }
  release_cached_memory();  // of networks of another size
  if (fault.empty()) {
    write_comparison(folder, results);
  } else {
    const Json record = {{"run_id", cell.run_id}, {"error", printable(fault, 2000)}};
    write_file(error_file, record.dump(2) + "\n");
  }
  finished(position, seconds_since(start));
}

void Runner::finished(size_t position, double seconds) {
  const size_t cell = work_.to_do[position];
  CellState state = read_cell(work_.folder, work_.plan, cell);
  std::vector<CellState> now;  // written without the mutex, for which the steps of other cells wait
  {
    const std::lock_guard lock(mutex_);
    states_[cell] = std::move(state);
    ++ended_;
    done_ += per_cell - parts_[position];
    parts_[position] = per_cell;
    if (ended_ % work_.progress_every == 0 || ended_ == work_.to_do.size())
      progress_.unit(done_, line(states_[cell], cell, seconds));
    if (!summary_is_due()) return;
    now = states_;
    refreshing_ = true;
  }
  const auto start = Clock::now();
  write_summary(work_.folder, now);
  const std::lock_guard lock(mutex_);
  summary_at_ = Clock::now();
  summary_pause_ = std::max(1.0, 20 * seconds_since(start));
  refreshing_ = false;
}

std::string Runner::line(const CellState& state, size_t cell, double seconds) const {
  std::string out = "cell " + std::to_string(ended_) + "/" + std::to_string(work_.to_do.size()) +
                    "  " + work_.plan.cells[cell].run_id + "  " + duration(seconds);
  if (state.kind != CellState::Kind::complete)
    return out + "  failed: " + printable(state.fault, 160);
  for (const Json& row : state.rows) {
    char mse[32];
    const Json& value = row.contains("mse_test") ? row["mse_test"] : Json();
    std::snprintf(mse, sizeof mse, " %.4g", value.is_number() ? value.get<double>() : NAN);
    out += "  " + row["model"].get<std::string>() + mse;
  }
  return out + "  elapsed " + duration(progress_.seconds());
}

// At most once a second, and in at most a twentieth of the time; the caller holds the mutex.
bool Runner::summary_is_due() const {
  return work_.summary != SweepWork::Summary::none && !refreshing_ &&
         seconds_since(summary_at_) >= summary_pause_;
}

}  // namespace

std::vector<std::string> run_cells(const SweepWork& work, std::vector<CellState>& states) {
  Runner runner(work, states);
  runner.run();
  return runner.warnings();
}

}  // namespace sinew::tools
