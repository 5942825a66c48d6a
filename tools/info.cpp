// sinew info: what this build and this machine are.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"
#include "sinew/device.h"

namespace sinew::tools {
namespace {

std::string processor() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

void print_info() {
  std::printf("sinew %s\n", SINEW_VERSION);
  std::printf("compiler          %s\n", __VERSION__);
  std::printf("processor         %s\n", processor().c_str());
  std::printf("threads           %d\n", threads());
  std::printf("instruction sets ");
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512})
    if (supports(level)) std::printf(" %s", name(level));
  std::printf(" (uses %s)\n", name(isa()));
}

}  // namespace

std::string environment_json() {
  nlohmann::ordered_json out;
  out["version"] = SINEW_VERSION;
  out["compiler"] = __VERSION__;
  out["processor"] = processor();
  out["threads"] = threads();
  out["isa"] = name(isa());
  return out.dump(1) + "\n";
}

void add_info(CLI::App& app) {
  CLI::App* info = app.add_subcommand("info", "Show version, compiler, processor and threads");
  info->callback(print_info);
}

}  // namespace sinew::tools
