// Which folders hold cells, and which cells have a place in the same tables.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "command.h"
#include "report_text.h"
#include "report_value.h"
#include "sweep_plan.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
constexpr JsonLimits limits{16 << 20, 32}, manifest_limits{64 << 20, 32};
constexpr size_t most_cells = 100000;

bool holds(const fs::path& folder, const char* name) {
  std::error_code fault;
  return fs::exists(fs::symlink_status(folder / name, fault));
}

// The manifest without what cells may differ in and what follows from it.
Json common_settings(const Json& manifest) {
  Json out = Json::object();
  for (const auto& [key, value] : manifest.items())
    if (!of_cell(key) && key != "dataset_meta" && key != "val_size") out[key] = value;
  if (const auto network = manifest.find("network"); network != manifest.end())
    if (network->is_object())
      for (const auto& [key, value] : network->items())
        if (!std::set<std::string>{"shape", "input_dim", "depth", "k", "activation_type", "seed"}
                 .contains(key))
          out["network"][key] = value;
  return out;
}

std::string configuration_and_seed(const Cell& cell) {
  std::string out = cell.activation;
  for (const int64_t number :
       {cell.rows, cell.columns, cell.depth, cell.dense_depth, cell.k, cell.seed})
    out += " " + std::to_string(number);
  return out;
}

// Says why a good cell cannot stand beside those before it.
class Company {
 public:
  std::string refuse(const Cell& cell, const Json& manifest) {
    Json settings = common_settings(manifest);
    if (first_.empty()) {
      first_ = cell.id;
      settings_ = std::move(settings);
    } else if (const std::string other = difference(settings_, settings); !other.empty()) {
      return "left out: other settings than " + first_ + " (" + other + ")";
    }
    const auto [at, fresh] = seen_.emplace(configuration_and_seed(cell), cell.id);
    return fresh ? "" : "left out: same configuration and seed as " + at->second;
  }

 private:
  std::string first_;
  Json settings_;
  std::map<std::string, std::string> seen_;
};

Json read_results_file(const fs::path& folder, Cell& cell) {
  const std::string path = (folder / "results.json").string();
  Json file = read_json(path, limits);
  about(path, [&] { read_cell(file, cell); });
  return file;
}

std::string read_error_file(const fs::path& folder) {
  const std::string path = (folder / "error.json").string();
  const Json file = read_json(path, limits);
  const std::string error = about(path, [&] { return Value(&file, "")["error"].text(); });
  return error.empty() ? "failed without a message" : error;
}

// A cell of a sweep; none where nothing has ended.
std::optional<Cell> read_sweep_cell(const fs::path& folder, Company& company) {
  Cell cell;
  cell.id = folder.filename().string();
  try {
    if (holds(folder, "results.json")) {
      const Json file = read_results_file(folder, cell);
      cell.error = company.refuse(cell, file["manifest"]);
    } else if (holds(folder, "error.json")) {
      cell.error = read_error_file(folder);
    } else {
      return std::nullopt;
    }
  } catch (const Error& error) {
    cell.error = error.what();
    if (cell.error.rfind(folder.string(), 0) == 0) cell.error.erase(0, folder.string().size() + 1);
    cell.error = "unreadable: " + cell.error;
  }
  return cell;
}

// The folders of the cells that the sweep's manifest names.
std::set<std::string> planned_cells(const fs::path& folder) {
  std::set<std::string> out;
  if (!holds(folder, "manifest.json")) return out;
  const std::string path = (folder / "manifest.json").string();
  const Json file = read_json(path, manifest_limits);
  about(path, [&] {
    for (const Value& cell : Value(&file, "")["cells"].list(most_cells))
      out.insert(folder_of(cell["run_id"].name()));
  });
  return out;
}

std::vector<fs::path> folders_in(const std::string& folder) {
  std::error_code fault;
  fs::directory_iterator entries(folder, fault);
  if (fault) throw Error(folder + ": " + fault.message());
  std::vector<fs::path> out;
  for (const fs::directory_entry& entry : entries)
    if (entry.is_directory(fault)) out.push_back(entry.path());
  if (out.size() > most_cells)
    throw Error(folder + ": has more than " + std::to_string(most_cells) + " folders");
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::string Results::counts() const {
  const auto whole = [](size_t n) { return static_cast<long long>(n); };
  const auto failed = std::count_if(cells.begin(), cells.end(),
                                    [](const Cell& cell) { return !cell.error.empty(); });
  std::string out = plural(whole(cells.size() + missing), "cell");
  if (missing > 0)
    out = std::to_string(cells.size()) + " of " + out + "; " + std::to_string(missing) +
          (missing == 1 ? " is missing" : " are missing");
  return out + (failed > 0 ? ", " + std::to_string(failed) + " without figures" : "");
}

Results read_results(const std::string& folder) {
  Results out;
  std::error_code fault;
  if (!fs::is_directory(folder, fault)) throw Error(folder + ": is no folder");
  if (holds(folder, "results.json")) {
    Cell cell;
    read_results_file(folder, cell);
    out.cells.push_back(std::move(cell));
    return out;
  }
  out.kind = Results::Kind::sweep;
  Company company;
  std::set<std::string> planned = planned_cells(folder);
  for (const fs::path& path : folders_in(folder)) {
    if (stop_signal() != 0) throw Stopped("; nothing was written");
    if (!planned.empty() && !planned.contains(path.filename().string())) continue;
    if (auto cell = read_sweep_cell(path, company)) out.cells.push_back(std::move(*cell));
  }
  for (const Cell& cell : out.cells) planned.erase(cell.id);
  out.missing = planned.size();
  if (out.cells.empty() && out.missing == 0)
    throw Error(folder + ": holds no results of sinew compare or sinew sweep");
  return out;
}

}  // namespace sinew::tools
