// sinew sweep: a comparison for every cell of a grid, and sinew sweep merge: the summary of what
// several shards have run.
//
// Locks, so that two sweeps do not write to one folder: .sweep.lock, of shards shared and each with
// one of its own; .manifest.lock while the manifest is compared and written.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "comparison_flags.h"
#include "file_lock.h"
#include "run_folder.h"
#include "sinew/device.h"
#include "sinew/io.h"
#include "sweep_run.h"
#include "sweep_summary.h"

namespace sinew::tools {
namespace {

using Kind = CellState::Kind;

void plot(const RunFlags& run, const std::string& folder, const std::vector<CellState>& states) {
  if (!plot_summary(folder, states))
    notice(run, "--plot: gnuplot is not in PATH; no picture was made");
}

class SweepCommand {
 public:
  void add_to(Flags& flags);
  void run();

 private:
  void plan();
  void check_folder();
  void read_states();
  size_t outside_the_grid() const;
  void take_folder();
  size_t count(Kind kind) const;
  std::string counts() const;
  void show_plan() const;
  void work();
  void remark_diverged() const;
  void report();

  RunFlags run_, cell_run_;
  ComparisonFlags comparison_;
  GridLists lists_;
  std::optional<std::string> asked_out_;
  std::string out_, shard_text_;
  bool resume_ = false, dry_run_ = false, plot_ = false;
  size_t jobs_ = 0, progress_every_ = 1;

  std::vector<SweepCell> cells_;
  SweepPlan plan_;
  std::optional<SweepPlan> stored_;  // that of manifest.json
  std::optional<Shard> shard_;
  std::vector<size_t> own_, to_do_;         // cells: of this shard; to be run
  std::vector<CellState> before_, states_;  // of all cells
  std::optional<FileLock> lock_, shard_lock_;
};

void SweepCommand::run() {
  plan();
  check_folder();
  read_states();
  if (dry_run_) return show_plan();
  take_folder();
  work();
  report();
}

// Everything that the flags say.
void SweepCommand::plan() {
  const auto available = static_cast<size_t>(threads());
  run_.apply();
  cell_run_ = run_;
  cell_run_.device = name(device());
  cell_run_.threads = run_.threads > 0 ? run_.threads : 1;
  if (!shard_text_.empty()) shard_ = parse_shard(shard_text_);
  if (shard_ && plot_)
    throw Error("--plot: a shard draws no summary; sinew sweep merge --plot draws that of all");
  cells_ = make_grid(lists_, comparison_.settings(run_));
  plan_ = make_plan(cells_, cell_run_);
  for (size_t i = 0; i < cells_.size(); ++i)
    if (!shard_ || shard_->has(i)) own_.push_back(i);
  if (jobs_ == 0)
    jobs_ = device() == Device::cuda
                ? 1
                : std::max<size_t>(1, available / static_cast<size_t>(cell_run_.threads));
  if (asked_out_ && asked_out_->empty()) throw Error("--out is empty");
  out_ = asked_out_.value_or(dated_folder("reports/geo_sparse_sweep"));
}

// Throws if the folder holds what this sweep must not go on with.
void SweepCommand::check_folder() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status folder = fs::status(out_, ignored);
  if (fs::exists(folder) && !fs::is_directory(folder)) throw Error(out_ + ": is no folder");
  const std::string manifest = out_ + "/manifest.json";
  stored_.reset();
  if (!fs::exists(fs::symlink_status(manifest, ignored))) return;
  if (!resume_ && !shard_) throw Error(out_ + ": holds a sweep (manifest.json); use --resume");
  stored_ = read_plan(manifest);
  const std::string other = difference(stored_->settings, plan_.settings);
  if (!other.empty())
    throw Error(out_ + ": holds a sweep with other settings (" + other + "); name another --out");
  if (!resume_ && to_json(*stored_) != to_json(plan_))
    throw Error(out_ + ": holds a sweep of another grid; use --resume");
}

// Without a manifest nothing is kept.
void SweepCommand::read_states() {
  states_.assign(cells_.size(), {});
  to_do_.clear();
  for (const size_t i : own_) {
    if (stored_) states_[i] = read_cell(out_, plan_, i);
    if (states_[i].kind != Kind::complete)
      to_do_.push_back(i);
    else if (!resume_)
      throw Error(out_ + ": holds results of this shard (" + cells_[i].run_id + "); use --resume");
  }
  before_ = states_;
}

// Cells of the folder that a smaller grid does not have; their results stay.
size_t SweepCommand::outside_the_grid() const {
  if (!stored_) return 0;
  return static_cast<size_t>(
      std::count_if(stored_->cells.begin(), stored_->cells.end(), [&](const PlannedCell& stored) {
        return std::none_of(plan_.cells.begin(), plan_.cells.end(),
                            [&](const PlannedCell& c) { return c.run_id == stored.run_id; });
      }));
}

// Looks again where nobody else writes; after this only the disk can fail.
void SweepCommand::take_folder() {
  make_folder(out_);
  require_writable_folder(out_);
  lock_.emplace(out_ + "/.sweep.lock", shard_ ? FileLock::Kind::shared : FileLock::Kind::alone,
                "another sweep is writing to this folder");
  if (shard_)
    shard_lock_.emplace(out_ + "/.shard-" + std::to_string(shard_->index) + "-of-" +
                            std::to_string(shard_->count) + ".lock",
                        FileLock::Kind::alone, "this shard is being run already");
  const FileLock manifest(out_ + "/.manifest.lock", FileLock::Kind::wait, "");
  check_folder();
  read_states();
  work_starts();
  if (!shard_) remove_temporaries(out_);
  if (!stored_ || to_json(*stored_) != to_json(plan_))
    write_file(out_ + "/manifest.json", to_json(plan_));
}

size_t SweepCommand::count(Kind kind) const {
  return static_cast<size_t>(std::count_if(to_do_.begin(), to_do_.end(),
                                           [&](size_t i) { return before_[i].kind == kind; }));
}

// "12 cells: 5 kept, 7 run (1 of them because its results.json was not whole)"
std::string SweepCommand::counts() const {
  std::string why;
  const auto add = [&](Kind kind, const char* reason) {
    if (const size_t n = count(kind); n > 0)
      why += (why.empty() ? " (" : ", ") + std::to_string(n) + " of them because " + reason;
  };
  add(Kind::broken, "its results.json was not whole");
  add(Kind::other, "its results.json has other settings");
  add(Kind::failed, "it failed before");
  return std::to_string(own_.size()) + " cells: " + std::to_string(own_.size() - to_do_.size()) +
         " kept, " + std::to_string(to_do_.size()) + " run" + why + (why.empty() ? "" : ")");
}

std::string why(const CellState& state) {
  switch (state.kind) {
    case Kind::broken:
      return " (its results.json is not whole: " + printable(state.fault, 200) + ")";
    case Kind::other: return " (its results.json has other settings: " + state.fault + ")";
    case Kind::failed: return " (it failed before: " + printable(state.fault, 200) + ")";
    default: return "";
  }
}

void SweepCommand::show_plan() const {
  work_starts();
  std::string text;
  for (const size_t i : own_)
    text += (states_[i].kind == Kind::complete ? "keep  " : "run  ") + cells_[i].run_id +
            why(states_[i]) + "\n";
  print(run_, text + "dry run, " + out_ + ": " + counts() + "\n");
}

void SweepCommand::work() {
  if (const size_t n = outside_the_grid(); n > 0)
    notice(run_, std::to_string(n) + " cells of " + out_ +
                     " are not in this grid; their results stay, the summary leaves them out");
  for (const size_t i : to_do_)
    if (before_[i].kind != Kind::none) notice(run_, "anew: " + cells_[i].run_id + why(before_[i]));
  const size_t jobs = std::min(jobs_, to_do_.size());
  if (jobs > 0)
    notice(run_, out_ + ": " + std::to_string(to_do_.size()) + " cells to run, " +
                     std::to_string(jobs) + " at a time");
  using Summary = SweepWork::Summary;
  const auto warnings = run_cells({.folder = out_,
                                   .cells = cells_,
                                   .plan = plan_,
                                   .run = cell_run_,
                                   .to_do = to_do_,
                                   .jobs = jobs,
                                   .progress_every = progress_every_,
                                   .summary = shard_ ? Summary::none : Summary::kept_current},
                                  states_);
  if (!warnings.empty())
    notice(run_, "further off than --match-tolerance: " + std::to_string(warnings.size()) +
                     " dense networks, first " + warnings[0]);
}

void SweepCommand::remark_diverged() const {
  std::vector<std::string> diverged;
  for (const size_t i : own_)
    for (const auto& row : states_[i].rows)
      if (row.value("train_loss_nonfinite_steps", 0) > 0)
        diverged.push_back(cells_[i].run_id + ": " + row.value("model", ""));
  if (!diverged.empty())
    notice(run_, "the loss was not finite in " + std::to_string(diverged.size()) +
                     " trainings, first " + diverged[0]);
}

void SweepCommand::report() {
  std::vector<size_t> failed;
  for (const size_t i : own_)
    if (states_[i].kind != Kind::complete) failed.push_back(i);
  print(run_, out_ + ": " + counts() + ", " + std::to_string(failed.size()) + " failed\n" +
                  (shard_ ? "when all shards have ended: sinew sweep merge " + out_ + "\n"
                          : summary_table(states_)));
  remark_diverged();
  if (plot_) plot(run_, out_, states_);
  if (failed.empty()) return;
  throw Error(std::to_string(failed.size()) + " of " + std::to_string(own_.size()) +
              " cells failed, first " + cells_[failed[0]].run_id + ": " +
              printable(states_[failed[0]].fault, 1000));
}

void SweepCommand::add_to(Flags& flags) {
  const auto add_list = [&](const char* name, std::string& list, const char* what) {
    flags.add(name, list, what).group("Grid");
  };
  add_list("--shapes", lists_.shapes, "grids of the features, HxW between commas");
  add_list("--depths", lists_.depths, "blocks, between commas");
  add_list("--ks", lists_.ks, "inputs that each feature of a layer reads, between commas");
  add_list("--activations", lists_.activations, "of the geo-sparse network, between commas");
  add_list("--seeds", lists_.seeds, "of data, split and networks, between commas");
  flags.add("--out", asked_out_, "folder of the sweep")
      .shown("reports/geo_sparse_sweep/<local time>");
  flags.add("--resume", resume_, "go on in the folder: keep cells that are complete");
  flags.add("--dry-run", dry_run_, "print what would be done with each cell, touch nothing");
  flags.add("--plot", plot_, "draw summary_plot.png and summary_plot.svg with gnuplot");
  flags.add("--progress-every", progress_every_, "a line of progress after so many cells")
      .above_zero();
  flags
      .add("--jobs", jobs_,
           "cells at a time, each with 1 thread or --threads; default: as the processors "
           "allow, on cuda 1")
      .range(1, 1024);
  flags.add("--shard", shard_text_,
            "only cells i, i + n, i + 2 n, ..., for i/n counting from 0; slurm: the task's "
            "place in its array");
  comparison_.add_to(flags, ComparisonFlags::Of::grid);
  add_run_flags(flags, run_);
  flags.get("--threads").shown("1 per cell");
}

struct Merge {
  RunFlags run;
  std::string folder;
  bool plot = false;
};

void merge(const Merge& m) {
  const SweepPlan plan = read_plan(m.folder + "/manifest.json");
  require_writable_folder(m.folder);
  work_starts();
  std::vector<CellState> states;
  std::vector<size_t> failed, missing;
  for (size_t i = 0; i < plan.cells.size(); ++i) {
    states.push_back(read_cell(m.folder, plan, i));
    const Kind kind = states[i].kind;
    if (kind == Kind::failed) failed.push_back(i);
    if (kind == Kind::complete || kind == Kind::failed) continue;
    missing.push_back(i);
    if (kind != Kind::none)
      notice(m.run, "left out: " + printable(plan.cells[i].run_id, 200) + why(states[i]));
  }
  write_summary(m.folder, states);
  const std::string of = " of " + std::to_string(states.size()) + " cells ";
  print(m.run, m.folder + ": " + std::to_string(states.size() - missing.size() - failed.size()) +
                   of + "complete\n" + summary_table(states));
  if (m.plot) plot(m.run, m.folder, states);
  if (!missing.empty())
    throw Error(std::to_string(missing.size()) + of + "are missing, first " +
                plan.cells[missing[0]].run_id);
  if (!failed.empty())
    throw Error(std::to_string(failed.size()) + of + "failed, first " +
                plan.cells[failed[0]].run_id + ": " + printable(states[failed[0]].fault, 1000));
}

}  // namespace

void add_sweep(Flags& program) {
  const auto command = std::make_shared<SweepCommand>();
  const auto merging = std::make_shared<Merge>();
  Flags flags = program.add_command("sweep", "Compare networks over a grid of sizes and seeds",
                                    "sinew sweep --shapes 8x8 --ks 4,8 --seeds 0,1,2 --out sweep",
                                    [command] { command->run(); });
  command->add_to(flags);
  Flags merge_flags = flags.add_command("merge", "Sum up a sweep whose shards were run",
                                        "sinew sweep merge sweep", [merging] { merge(*merging); });
  merge_flags.add("DIR", merging->folder, "folder of the sweep").required();
  merge_flags.add("--plot", merging->plot, "draw summary_plot.png and summary_plot.svg");
  merge_flags.add("--quiet", merging->run.quiet, "print nothing but errors");
}

}  // namespace sinew::tools
