// The depth is checked while parsing: a deep value would use up the stack when it is destroyed.
#include "json_file.h"

#include <filesystem>

#include "command.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

void require_size(uint64_t bytes, const JsonLimits& limits) {
  if (bytes > limits.bytes)
    throw Error("larger than " + std::to_string(limits.bytes >> 20) + " MiB");
}

}  // namespace

Json parse_json(const std::string& text, const JsonLimits& limits) {
  require_size(text.size(), limits);
  const auto limit = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= limits.depth)
      throw Error("JSON is deeper than " + std::to_string(limits.depth) + " levels");
    return true;
  };
  try {
    return Json::parse(text, limit);
  } catch (const Json::exception&) {
    throw Error("no JSON");
  }
}

Json read_json(const std::string& path, const JsonLimits& limits) {
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);  // a pipe would wait
  const auto bytes = regular ? std::filesystem::file_size(path, error) : 0;
  if (!regular || error) throw Error(path + ": is no file");
  return about(path, [&] {
    require_size(bytes, limits);
    return parse_json(read_file(path), limits);
  });
}

}  // namespace sinew::tools
