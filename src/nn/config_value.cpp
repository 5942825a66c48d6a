// JSON text to plain values, and reading and writing them. Depth is counted while parsing, before
// a value exists that a recursion could fall over.
#include "nn/config_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "nn/file.h"

namespace sinew {
namespace {

using Json = nlohmann::json;  // ordered_json takes time with the square of the keys
constexpr int max_depth = 64;
constexpr size_t max_bytes = size_t{64} << 20;

ConfigValue convert(const std::string& op, const Json& json) {
  using Kind = ConfigValue::Kind;
  ConfigValue out;
  if (json.is_boolean()) {
    out.kind = Kind::boolean;
    out.boolean = json.get<bool>();
  } else if (json.is_number_integer()) {
    if (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX)
      throw Error(op + ": number above 2^63 (" + json.dump() + ")");
    out.kind = Kind::integer;
    out.integer = json.get<int64_t>();
    out.number = static_cast<double>(out.integer);
  } else if (json.is_number()) {
    out.kind = Kind::number;
    out.number = json.get<double>();
  } else if (json.is_string()) {
    out.kind = Kind::text;
    out.text = json.get<std::string>();
  } else if (json.is_array()) {
    out.kind = Kind::list;
    for (const Json& item : json) out.items.push_back(convert(op, item));
  } else if (json.is_object()) {
    out.kind = Kind::object;
    for (const auto& member : json.items()) {
      out.keys.push_back(member.key());
      out.items.push_back(convert(op, member.value()));
    }
  }
  return out;
}

// 2 L / (length of a + length of b), L the longest common subsequence.
double similarity(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1, 0);
  for (char c : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = c == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return 2.0 * static_cast<double>(row.back()) / static_cast<double>(a.size() + b.size());
}

}  // namespace

ConfigValue parse_json(const std::string& op, const std::string& text) {
  if (text.size() > max_bytes)
    throw Error(op + ": JSON is larger than 64 MiB (" + std::to_string(text.size()) + " bytes)");
  const auto limit = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth) throw Error(op + ": JSON is deeper than 64 levels");
    return true;
  };
  try {
    return convert(op, Json::parse(text, limit));
  } catch (const nlohmann::json::exception& e) {
    const std::string what = e.what();  // "[json.exception...] fact"
    const size_t fact = what.find("] ");
    constexpr size_t longest = 200;  // it may quote the text
    throw Error(op + ": no valid JSON (" +
                printable(fact == std::string::npos ? what : what.substr(fact + 2), longest) + ")");
  }
}

std::string normalised(const std::string& text) {
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  std::string out;
  for (char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  while (!out.empty() && blank(out.back())) out.pop_back();
  out.erase(out.begin(), std::find_if_not(out.begin(), out.end(), blank));
  return out;
}

std::string nearest(const std::string& name, const std::vector<std::string>& known) {
  return *std::max_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return similarity(name, a) < similarity(name, b);
  });
}

void throw_unknown(const std::string& op, const std::string& what, const std::string& given,
                   const std::vector<std::string>& known) {
  const std::string shown = printable(given);
  throw Error(op + ": unknown " + what + " (" + shown + "; nearest is " + nearest(shown, known) +
              ")");
}

size_t choose(const std::string& op, const std::string& what, const std::string& given,
              const std::vector<std::string>& known) {
  const auto found = std::find(known.begin(), known.end(), normalised(given));
  if (found == known.end()) throw_unknown(op, what, given, known);
  return static_cast<size_t>(found - known.begin());
}

void ConfigField::fail(const std::string& needs) const { throw Error(where_ + " needs " + needs); }

double ConfigField::number() const {
  if (!is(ConfigValue::Kind::integer) && !is(ConfigValue::Kind::number)) fail("a number");
  return value_->number;
}

int64_t ConfigField::integer() const {
  if (is(ConfigValue::Kind::integer)) return value_->integer;
  const double v = is(ConfigValue::Kind::number) ? value_->number : 0.5;
  if (v != std::floor(v) || std::abs(v) >= 0x1p63) fail("a whole number");
  return static_cast<int64_t>(v);
}

bool ConfigField::flag() const {
  if (!is(ConfigValue::Kind::boolean)) fail("true or false");
  return value_->boolean;
}

const std::string& ConfigField::text() const {
  if (!is(ConfigValue::Kind::text)) fail("a text");
  return value_->text;
}

std::vector<ConfigField> ConfigField::list() const {
  if (!is(ConfigValue::Kind::list)) fail("a list");
  std::vector<ConfigField> out;
  for (const ConfigValue& item : value_->items) out.emplace_back(where_, &item);
  return out;
}

std::vector<double> ConfigField::numbers() const {
  if (!is(ConfigValue::Kind::list)) return {number()};
  std::vector<double> out;
  for (const ConfigField& item : list()) out.push_back(item.number());
  return out;
}

std::array<std::optional<double>, 2> ConfigField::pair() const {
  if (!is(ConfigValue::Kind::list) || value_->items.size() != 2) fail("a list of two");
  std::array<std::optional<double>, 2> out;
  const auto sides = list();
  for (size_t i = 0; i < 2; ++i)
    if (!sides[i].is(ConfigValue::Kind::null)) out[i] = sides[i].number();
  return out;
}

ConfigReader::ConfigReader(std::string op, const ConfigValue& object,
                           const std::vector<std::string>& known)
    : op_(std::move(op)), object_(object) {
  if (object.kind != ConfigValue::Kind::object) throw Error(op_ + ": needs a JSON object");
  for (const std::string& key : object.keys)
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw_unknown(op_, "key", key, known);
}

ConfigField ConfigReader::find(std::initializer_list<const char*> keys) const {
  for (const char* key : keys)
    for (size_t i = 0; i < object_.keys.size(); ++i)
      if (object_.keys[i] == key && object_.items[i].kind != ConfigValue::Kind::null)
        return {op_ + ": " + key, &object_.items[i]};
  return {};
}

void JsonWriter::raw(const std::string& key, const std::string& json) {
  members_.push_back(quoted(key) + ": " + json);
}

std::string JsonWriter::str() const {
  std::string out = "{";
  for (const std::string& member : members_) {
    if (out.size() > 1) out += ", ";
    out += member;
  }
  out += '}';
  return out;
}

std::string JsonWriter::quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace {

template <class T>
std::string shortest(T value) {
  if (!std::isfinite(value)) return "null";
  char buffer[32];
  const T unsigned_zero = value + T(0);  // "-0" would read back as the integer 0
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, unsigned_zero).ptr;
  return {buffer, end};
}

}  // namespace

std::string JsonWriter::json(double value) { return shortest(value); }
std::string JsonWriter::json_f32(float value) { return shortest(value); }

}  // namespace sinew
