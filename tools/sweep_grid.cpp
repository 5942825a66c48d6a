// Names as the reference's: the same grid has the same run ids and folders.
#include "sweep_grid.h"

#include <charconv>
#include <cstdlib>
#include <set>

#include "comparison_flags.h"

namespace sinew::tools {
namespace {

constexpr size_t most_cells = 100000;

int64_t whole(const std::string& source, const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    throw Error(source + ": needs a whole number (" + text + ")");
  return value;
}

std::vector<int64_t> whole_list(const std::string& flag, const std::string& text) {
  std::vector<int64_t> out;
  for (const std::string& part : split_list(flag, text)) out.push_back(whole(flag, part));
  return out;
}

std::vector<std::vector<int64_t>> shape_list(const std::string& text) {
  std::vector<std::vector<int64_t>> out;
  for (const std::string& part : split_list("--shapes", text)) {
    const auto by = part.find_first_of("xX");
    if (by == part.npos) throw Error("--shapes: needs HxW (" + part + ")");
    out.push_back({whole("--shapes", part.substr(0, by)), whole("--shapes", part.substr(by + 1))});
  }
  return out;
}

std::vector<ActivationKind> activation_list(const std::string& text) {
  std::vector<ActivationKind> out;
  for (const std::string& part : split_list("--activations", text))
    out.push_back(about("--activations", [&] { return parse_activation(part); }));
  return out;
}

std::string run_id_of(const ComparisonSettings& s) {
  const NetworkConfig& net = s.network;
  const auto& shape = net.connectivity.shape;
  return std::string("task=") + name(s.task.kind) + "_shape=" + std::to_string(shape[0]) + "x" +
         std::to_string(shape[1]) + "_depth=" + std::to_string(net.depth) +
         "_k=" + std::to_string(net.connectivity.k) + "_act=" + name(net.activation) +
         "_seed=" + std::to_string(s.seed);
}

// A variable of the environment that Slurm sets for each task of an array.
int64_t slurm_variable(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr)
    throw Error(std::string("--shard slurm: ") + name + " is not set (is this a Slurm array job?)");
  return whole(std::string("--shard slurm: ") + name, text);
}

Shard slurm_shard() {
  const int64_t id = slurm_variable("SLURM_ARRAY_TASK_ID");
  const int64_t first = slurm_variable("SLURM_ARRAY_TASK_MIN");
  const int64_t last = slurm_variable("SLURM_ARRAY_TASK_MAX");
  const int64_t count = slurm_variable("SLURM_ARRAY_TASK_COUNT");
  const auto small = [](int64_t v) { return v >= 0 && v <= INT32_MAX; };
  if (!small(id) || !small(first) || !small(last) || !small(count) || last - first + 1 != count)
    throw Error("--shard slurm: the array's " + std::to_string(count) +
                " indices are not all of those from " + std::to_string(first) + " to " +
                std::to_string(last) + " (use --array=0-N with step 1)");
  if (id < first || id > last)
    throw Error("--shard slurm: task " + std::to_string(id) + " is not between " +
                std::to_string(first) + " and " + std::to_string(last));
  return {static_cast<size_t>(id - first), static_cast<size_t>(count)};
}

}  // namespace

std::vector<SweepCell> make_grid(const GridLists& lists, const ComparisonSettings& base) {
  const auto shapes = shape_list(lists.shapes);
  const auto depths = whole_list("--depths", lists.depths), ks = whole_list("--ks", lists.ks);
  const auto activations = activation_list(lists.activations);
  const auto seeds = whole_list("--seeds", lists.seeds);
  size_t count = 1;
  for (const size_t n : {shapes.size(), depths.size(), ks.size(), activations.size(), seeds.size()})
    if ((count *= n) > most_cells)
      throw Error("the grid has more than " + std::to_string(most_cells) + " cells");
  std::vector<SweepCell> cells;
  std::set<std::string> ids;
  for (size_t i = 0; i < count; ++i) {
    size_t rest = i;
    const auto take = [&rest](const auto& list) {
      const auto& value = list[rest % list.size()];
      rest /= list.size();
      return value;
    };
    ComparisonSettings s = base;  // the innermost list first
    s.seed = take(seeds);
    s.network.activation = take(activations);
    s.network.connectivity.k = take(ks);
    s.network.depth = take(depths);
    s.network.connectivity.shape = take(shapes);
    const std::string id = run_id_of(s);
    if (!ids.insert(id).second) throw Error("the grid has " + id + " twice");
    cells.push_back({id, std::move(s)});
  }
  return cells;
}

std::string folder_of(const std::string& run_id) {
  std::string out = run_id;
  for (char& c : out)
    if (std::string(":/\\ ,=").find(c) != std::string::npos) c = '_';
  return out;
}

Shard parse_shard(const std::string& text) {
  if (text == "slurm") return slurm_shard();
  const auto slash = text.find('/');
  if (slash == text.npos) throw Error("--shard: needs i/n or slurm (" + text + ")");
  const int64_t index = whole("--shard", text.substr(0, slash));
  const int64_t count = whole("--shard", text.substr(slash + 1));
  if (index < 0 || index >= count || count > INT32_MAX)
    throw Error("--shard: needs i/n with 0 <= i < n (" + text + ")");
  return {static_cast<size_t>(index), static_cast<size_t>(count)};
}

}  // namespace sinew::tools
