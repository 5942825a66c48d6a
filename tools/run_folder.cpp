// Files are small and written whole; what decides is which of them exist.
#include "run_folder.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "sinew/error.h"
#include "sinew/io.h"

namespace fs = std::filesystem;

namespace sinew::tools {
namespace {

constexpr const char* files[] = {"model.safetensors",
                                 "config.json",
                                 "history.json",
                                 "env.json",
                                 "checkpoint/state.safetensors",
                                 "checkpoint/settings.json"};

bool is_temporary(const fs::path& path) {  // as write_file and its like name them
  const std::string name = path.filename().string();
  return name.rfind(".sinew-", 0) == 0 && path.extension() == ".tmp";
}

void remove_temporaries(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_temporary(entry.path())) fs::remove(entry.path(), ignored);
}

}  // namespace

void RunFolder::require_new() const {
  std::error_code ignored;
  if (fs::exists(path_, ignored) && !fs::is_directory(path_, ignored))
    throw Error(path_ + ": is no folder");
  for (const char* file : files)
    if (fs::exists(fs::path(path_) / file, ignored))
      throw Error(path_ + ": holds a run (" + file + "); use --resume or --overwrite");
}

std::string RunFolder::checkpoint() const { return path_ + "/checkpoint/state.safetensors"; }

bool RunFolder::has_checkpoint() const {
  std::error_code ignored;
  return fs::exists(checkpoint(), ignored);
}

void RunFolder::require_same(const Settings& settings, bool may_be_longer) const {
  const std::string file = path_ + "/checkpoint/settings.json";
  const auto stored = nlohmann::json::parse(read_file(file), nullptr, false);
  if (!stored.is_object()) throw Error(file + ": no JSON object");
  for (const auto& [name, value] : settings) {
    const auto found = stored.find(name);
    if (found == stored.end() || !found->is_string())
      throw Error(file + ": no text '" + name + "'");
    const auto& old = found->get_ref<const std::string&>();
    if (old == value || (name == "epochs" && may_be_longer)) continue;
    throw Error(path_ + ": its checkpoint was made with other settings (" + name + ": " +
                old.substr(0, 200) + ", now " + value.substr(0, 200) + ")");
  }
}

void RunFolder::make() const {
  std::error_code error;
  fs::create_directories(path_ + "/checkpoint", error);
  if (error) throw Error(path_ + ": cannot be made (" + error.message() + ")");
  remove_temporaries(path_);
  remove_temporaries(path_ + "/checkpoint");
}

void RunFolder::remove_run() const {
  for (const char* file : files) {
    std::error_code error;
    fs::remove(fs::path(path_) / file, error);
    if (error) throw Error(path_ + "/" + file + ": cannot be removed (" + error.message() + ")");
  }
}

void RunFolder::write_settings(const Settings& settings, const std::string& environment) const {
  nlohmann::ordered_json out;
  for (const auto& [name, value] : settings) out[name] = value;
  using Handler = nlohmann::ordered_json::error_handler_t;
  write_file(path_ + "/checkpoint/settings.json", out.dump(2, ' ', false, Handler::replace) + "\n");
  write_file(path_ + "/env.json", environment);
}

void RunFolder::write_history(const std::vector<EpochRecord>& history) const {
  write_file(path_ + "/history.json", to_json(history));
}

}  // namespace sinew::tools
