// JSON that others may have written: bounded in size and depth while it is read.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace sinew::tools {

struct JsonLimits {
  size_t bytes;  // whole MiB
  int depth;
};
// Throws for larger, deeper and malformed text, without the text in the message.
nlohmann::ordered_json parse_json(const std::string& text, const JsonLimits& limits);
// The same of a regular file; the message starts with its name.
nlohmann::ordered_json read_json(const std::string& path, const JsonLimits& limits);

}  // namespace sinew::tools
