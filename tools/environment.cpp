// The record of a machine. Sources: /proc/cpuinfo, uname, sysconf; the NVIDIA driver and its
// devices as its kernel module shows them under /proc/driver/nvidia.
#include "environment.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include "commit.h"
#include "sinew/device.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

// What stands behind the colon of the first line that starts with `key`; else null.
Json field(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.rfind(key, 0) != 0 || colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? Json() : Json(line.substr(start));
  }
  return nullptr;
}

std::string timestamp() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Json version_text(int version) {  // as the CUDA runtime numbers them
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// What a CUDA build sees of its GPU; else the names that the driver's kernel module shows.
Json devices() {
  Json list = Json::array();
  if (cuda_fault().empty()) {
    const CudaInfo gpu = cuda_info();
    list.push_back(
        {{"name", gpu.name},
         {"compute_capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor)},
         {"multiprocessors", gpu.multiprocessors},
         {"memory_bytes", gpu.memory},
         {"runtime", version_text(gpu.runtime)},
         {"driver_cuda", version_text(gpu.driver)}});
    return list;
  }
  std::error_code error;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error))
    list.push_back({{"name", field(gpu.path() / "information", "Model")}});
  return list;
}

}  // namespace

Json environment(const RunFlags& run) {
  utsname system{};
  uname(&system);
  const std::string built = SINEW_CUDA_BUILD;
  Json levels = Json::array();
  for (const Isa level : {Isa::generic, Isa::avx2, Isa::avx512})
    if (supports(level)) levels.push_back(name(level));
  return {
      {"timestamp", timestamp()},
      {"hostname", system.nodename},
      {"platform", std::string(system.sysname) + " " + system.release + " " + system.machine},
      {"version", SINEW_VERSION},
      {"commit", SINEW_COMMIT},
      {"build", Json::parse(SINEW_BUILD)},
      {"compiler", SINEW_COMPILER},
      {"processor", field("/proc/cpuinfo", "model name")},
      {"instruction_sets", levels},
      {"isa", name(isa())},
      {"threads", threads()},
      {"memory_total_bytes", static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE)},
      {"device", name(device())},
      {"precision", run.precision},
      {"tf32", tf32() == Tf32::on},
      {"graph", run.records_steps()},
      {"fusion", fusion() == Fusion::on},
      {"cuda_build", built == "disabled" ? Json() : Json(built)},
      {"driver", field("/proc/driver/nvidia/version", "NVRM version")},
      {"devices", devices()}};
}

}  // namespace sinew::tools
