// sinew info: what this build and this machine are.
#include <algorithm>
#include <memory>
#include <string>

#include "command.h"
#include "environment.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Info {
  RunFlags run;
  bool json = false;
};

// "a, b" of a list, "key value, key value" of an object, "none" of nothing.
std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null() || (value.is_array() && value.empty())) return "none";
  if (!value.is_structured()) return value.dump();
  std::string out;
  for (const auto& item : value.items())
    out += (out.empty() ? "" : ", ") + (value.is_object() ? item.key() + " " : "") +
           plain(item.value());
  return out;
}

std::string as_text(const Json& record) {
  std::string out;
  for (const auto& [key, value] : record.items()) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    name.resize(20, ' ');
    out += name + plain(value) + "\n";
  }
  return out;
}

void show(const Info& info) {
  info.run.apply();
  const Json record = environment(info.run);
  work_starts();
  print(info.run, info.json ? record.dump(1) + "\n" : as_text(record));
}

}  // namespace

void add_info(Flags& program) {
  const auto info = std::make_shared<Info>();
  Flags flags = program.add_command("info", "Show version, build, processor, memory and devices",
                                    "sinew info --json", [info] { show(*info); });
  flags.add("--json", info->json, "print JSON");
  add_run_flags(flags, info->run);
}

}  // namespace sinew::tools
