// Files are small and written whole; what decides is which of them exist.
#include "run_folder.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
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

}  // namespace

void remove_temporaries(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_temporary(entry.path())) fs::remove(entry.path(), ignored);
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(path + ": cannot be made (" + error.message() + ")");
}

void require_writable_folder(const std::string& path) {
  if (access(path.c_str(), W_OK | X_OK) != 0 && errno != ENOENT)
    throw Error(path + ": cannot be written (" + std::strerror(errno) + ")");
}

std::string dated_folder(const std::string& parent) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "/%Y%m%d_%H%M%S", &local);
  return parent + text;
}

RunFolder::RunFolder(std::string path) : path_(std::move(path)) {
  if (path_.empty()) throw Error("--out is empty");
}

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

void RunFolder::take() {
  make_folder(path_);
  require_writable_folder(path_);
  require_writable_folder(path_ + "/checkpoint");
  lock_.emplace(path_, FileLock::Kind::alone, "another run is writing to it");
}

void RunFolder::prepare(Checkpoint checkpoint) const {
  make_folder(path_ + "/checkpoint");
  remove_temporaries(path_);
  remove_temporaries(path_ + "/checkpoint");
  if (checkpoint == Checkpoint::keep) return;
  std::error_code error;
  for (const std::string& file : {RunFolder::checkpoint(), path_ + "/checkpoint/settings.json"}) {
    fs::remove(file, error);
    if (error) throw Error(file + ": cannot be removed (" + error.message() + ")");
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
