// JSON into structs. A value of a wrong type is an error that names its place, manifest.shape for
// instance; keys that nobody asks for do not matter.
#include "report_read.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "command.h"
#include "json_file.h"
#include "sinew/error.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
constexpr JsonLimits limits{16 << 20, 32};
constexpr size_t most_cells = 100000, most_models = 16, most_epochs = 1000000;

// A value of the file and its place in it.
class Value {
 public:
  Value(const Json* json, std::string place) : json_(json), place_(std::move(place)) {}

  bool absent() const { return json_ == nullptr || json_->is_null(); }
  Value operator[](const std::string& key) const {
    const std::string place = place_.empty() ? key : place_ + "." + key;
    if (absent()) return {nullptr, place};
    if (!json_->is_object()) fail("is no object");
    const auto found = json_->find(key);
    return {found == json_->end() ? nullptr : &*found, place};
  }
  std::vector<Value> list(size_t longest) const {
    std::vector<Value> out;
    if (absent()) return out;
    if (!json_->is_array()) fail("is no list");
    if (json_->size() > longest) fail("has more than " + std::to_string(longest) + " entries");
    for (size_t i = 0; i < json_->size(); ++i)
      out.emplace_back(&(*json_)[i], place_ + "[" + std::to_string(i) + "]");
    return out;
  }
  double number() const {
    if (absent()) return NAN;
    if (!json_->is_number()) fail("is no number");
    return json_->get<double>();
  }
  int64_t whole() const {
    if (absent()) return 0;
    const bool too_large = json_->is_number_unsigned() && json_->get<uint64_t>() > INT64_MAX;
    if (!json_->is_number_integer() || too_large) fail("is no whole number");
    return json_->get<int64_t>();
  }
  int64_t size() const {
    const int64_t n = whole();
    if (n < 1 || n > INT32_MAX) fail("is no size above 0");
    return n;
  }
  std::string text() const {
    if (absent()) return "";
    if (!json_->is_string()) fail("is no text");
    return json_->get<std::string>();
  }
  std::string name() const {
    const std::string out = text();
    if (out.empty()) fail("is absent or empty");
    return out;
  }
  std::string shown() const {  // of any scalar
    if (absent()) return "";
    if (json_->is_structured()) fail("is a list or an object");
    if (json_->is_boolean()) return json_->get<bool>() ? "yes" : "no";
    return json_->is_string() ? text() : json_->dump();
  }
  std::string dump() const { return json_->dump(); }
  [[noreturn]] void fail(const std::string& fact) const {
    throw Error((place_.empty() ? "" : printable(place_, 200) + " ") + fact);
  }

 private:
  const Json* json_;
  std::string place_;
};

Figures figures(const Value& of) {
  Figures out;
  out.accuracy = of["accuracy"].number();
  out.macro_f1 = of["macro_f1"].number();
  out.loss = (of["mse"].absent() ? of["cross_entropy"] : of["mse"]).number();
  out.mae = of["mae"].number();
  out.r2 = of["r2"].number();
  return out;
}

EpochFigures epoch_figures(const Value& of) {
  EpochFigures out;
  out.epoch = of["epoch"].number();
  const auto loss = [&](const std::string& part) {
    const Value mse = of[part + "_mse"];
    return (mse.absent() ? of[part + "_loss"] : mse).number();
  };
  out.train.loss = loss("train");
  out.validation.loss = loss("val");
  out.test.loss = loss("test");
  out.test.accuracy = of["test_accuracy"].number();
  out.validation.accuracy = of["val_accuracy"].number();
  return out;
}

ModelResult model_result(const Value& of) {
  ModelResult out;
  out.name = of["name"].name();
  out.parameters = of["params_empirical"].number();
  out.mismatch_ratio = of["param_mismatch_ratio"].number();
  const Value train = of["train"];
  const Value median = train["step_time_ms_median"];
  out.step_ms = (median.absent() ? train["step_time_ms_mean"] : median).number();
  out.step_ms_p25 = train["step_time_ms_p25"].number();
  out.step_ms_p75 = train["step_time_ms_p75"].number();
  out.train_s = train["train_time_s"].number();
  out.samples_per_s = train["samples_per_sec"].number();
  out.memory_bytes = train["memory_high_water_bytes"].number();
  out.nonfinite_steps =
      train["loss_nonfinite_steps"].number() + train["grad_nonfinite_steps"].number();
  out.best_epoch = of["best"]["epoch"].number();
  out.best_test = figures(of["best"]["metrics_test"]);
  out.train = figures(of["metrics_train"]);
  out.validation = figures(of["metrics_val"]);
  out.test = figures(of["metrics_test"]);
  for (const Value& point : of["curve"].list(most_epochs))
    out.curve.push_back(epoch_figures(point));
  return out;
}

Facts facts(const Value& of, const std::vector<std::pair<const char*, const char*>>& wanted) {
  Facts out;
  for (const auto& [key, name] : wanted)
    if (const std::string value = of[key].shown(); !value.empty()) out.emplace_back(name, value);
  return out;
}

void read_manifest(const Value& of, Cell& cell) {
  const auto shape = of["shape"].list(2);
  if (shape.size() != 2) of["shape"].fail("is no list of two sizes");
  cell.rows = shape[0].size();
  cell.columns = shape[1].size();
  cell.task = of["task"].name();
  cell.depth = of["depth_sparse"].size();
  cell.k = of["k"].size();
  cell.activation = of["sparse_activation"].name();
  cell.pattern = of["pattern"].text();
  cell.seed = of["seed"].whole();
  cell.classes = of["classes"].whole();
  cell.training = facts(of, {{"data", "data"},
                             {"target", "target"},
                             {"train_size", "training rows"},
                             {"val_fraction", "held out for validation"},
                             {"test_size", "test rows"},
                             {"epochs", "epochs"},
                             {"batch_size", "batch size"},
                             {"lr", "learning rate"},
                             {"weight_decay", "weight decay"},
                             {"scale_x", "scaled inputs"},
                             {"scale_y", "scaled targets"},
                             {"fresh_seed_per_model", "fresh seed per model"},
                             {"pattern", "pattern"},
                             {"radius", "radius"},
                             {"wrap_mode", "wrap mode"}});
  if (const Value config = of["activation_config"]; !config.absent())
    cell.training.emplace_back("activation settings", printable(config.dump(), 400));
  const Value network = of["network"];
  if (network.absent()) return;
  if (network["shape"].absent()) network.fail("has no shape");
  cell.network = about("manifest.network", [&] { return parse_network_config(network.dump()); });
}

void read_environment(const Value& of, Cell& cell) {
  cell.machine = facts(of, {{"timestamp", "when"},
                            {"hostname", "host"},
                            {"processor", "processor"},
                            {"device", "device"},
                            {"precision", "precision"},
                            {"threads", "threads"},
                            {"isa", "instruction set"},
                            {"graph", "recorded steps"},
                            {"version", "sinew"},
                            {"commit", "commit"},
                            {"compiler", "compiler"},
                            {"cuda_build", "CUDA build"}});
}

// The content of results.json.
void read_cell(const Json& file, Cell& cell) {
  const Value all(&file, "");
  if (all["manifest"].absent() || all["models"].absent())
    throw Error("no results of a comparison (manifest and models)");
  read_manifest(all["manifest"], cell);
  read_environment(all["environment"], cell);
  for (const Value& line : all["reference_lines"].list(most_models))
    cell.lines.push_back({line["name"].name(), figures(line["metrics_test"])});
  for (const Value& model : all["models"].list(most_models)) {
    cell.models.push_back(model_result(model));
    const auto& name = cell.models.back().name;
    for (size_t i = 0; i + 1 < cell.models.size(); ++i)
      if (cell.models[i].name == name) model["name"].fail("occurs twice");
  }
  if (cell.models.empty()) all["models"].fail("is empty");
}

bool holds(const fs::path& folder, const char* name) {
  std::error_code fault;
  return fs::exists(fs::symlink_status(folder / name, fault));
}

void read_results_file(const fs::path& folder, Cell& cell) {
  const std::string path = (folder / "results.json").string();
  const Json file = read_json(path, limits);
  about(path, [&] { read_cell(file, cell); });
}

std::string read_error_file(const fs::path& folder) {
  const std::string path = (folder / "error.json").string();
  const Json file = read_json(path, limits);
  const std::string error = about(path, [&] { return Value(&file, "")["error"].text(); });
  return error.empty() ? "failed without a message" : error;
}

// A cell of a sweep; none where nothing has ended.
std::optional<Cell> read_sweep_cell(const fs::path& folder) {
  Cell cell;
  cell.id = folder.filename().string();
  try {
    if (holds(folder, "results.json"))
      read_results_file(folder, cell);
    else if (holds(folder, "error.json"))
      cell.error = read_error_file(folder);
    else
      return std::nullopt;
  } catch (const Error& error) {
    cell.error = error.what();
    if (cell.error.rfind(folder.string(), 0) == 0) cell.error.erase(0, folder.string().size() + 1);
    cell.error = "unreadable: " + cell.error;
  }
  return cell;
}

size_t planned_cells(const fs::path& folder) {
  if (!holds(folder, "manifest.json")) return 0;
  const std::string path = (folder / "manifest.json").string();
  const Json file = read_json(path, limits);
  return about(path, [&] { return Value(&file, "")["cells"].list(most_cells).size(); });
}

// Cells of another kind (regression, classification) than the first good one have no place in the
// same tables.
void require_one_kind(std::vector<Cell>& cells) {
  const Cell* first = nullptr;
  for (Cell& cell : cells) {
    if (!cell.error.empty()) continue;
    if (first == nullptr) first = &cell;
    if ((cell.classes > 0) != (first->classes > 0))
      cell.error = "left out: a regression beside classifications, or the reverse";
  }
}

}  // namespace

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
  fs::directory_iterator entries(folder, fault);
  if (fault) throw Error(folder + ": " + fault.message());
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : entries)
    if (entry.is_directory(fault)) folders.push_back(entry.path());
  if (folders.size() > most_cells)
    throw Error(folder + ": has more than " + std::to_string(most_cells) + " folders");
  std::sort(folders.begin(), folders.end());
  for (const fs::path& path : folders) {
    if (auto cell = read_sweep_cell(path)) out.cells.push_back(std::move(*cell));
  }
  if (out.cells.empty()) throw Error(folder + ": holds no results of sinew compare or sinew sweep");
  require_one_kind(out.cells);
  out.planned = planned_cells(folder);
  return out;
}

}  // namespace sinew::tools
