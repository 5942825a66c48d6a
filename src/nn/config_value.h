// A JSON document as plain values, and a reader of its objects with error messages that name the
// key. Keeps the JSON library inside config_value.cpp.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "sinew/nn.h"

namespace sinew {

struct ConfigValue {
  enum class Kind : uint8_t { null, boolean, integer, number, text, list, object };
  Kind kind = Kind::null;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;  // also of an integer
  std::string text;
  std::vector<ConfigValue> items;  // of a list, or of an object ...
  std::vector<std::string> keys;   // ... under these keys
};

// Throws `op: ...` if the text is no JSON, deeper than 64 levels or larger than 64 MiB.
ConfigValue parse_json(const std::string& op, const std::string& text);

// Lower case, without surrounding blanks.
std::string normalised(const std::string& text);
// The known name that shares most letters, in their order.
std::string nearest(const std::string& name, const std::vector<std::string>& known);
[[noreturn]] void throw_unknown(const std::string& op, const std::string& what,
                                const std::string& given, const std::vector<std::string>& known);
// The position of a normalised text among the known ones; throws as above.
size_t choose(const std::string& op, const std::string& what, const std::string& given,
              const std::vector<std::string>& known);

// One value under a key. Absent ones (and null) are false; a wrong type throws `op: key needs ...`.
class ConfigField {
 public:
  ConfigField() = default;
  ConfigField(std::string where, const ConfigValue* value)
      : where_(std::move(where)), value_(value) {}
  explicit operator bool() const { return value_ != nullptr; }
  const ConfigValue& value() const { return *value_; }
  bool is(ConfigValue::Kind kind) const { return value_->kind == kind; }

  double number() const;
  int64_t integer() const;  // whole numbers, also written as 4.0
  bool flag() const;
  const std::string& text() const;
  std::vector<ConfigField> list() const;
  std::vector<double> numbers() const;                // a number, or a list of them
  std::array<std::optional<double>, 2> pair() const;  // two numbers or nulls
  [[noreturn]] void fail(const std::string& needs) const;

 private:
  std::string where_;
  const ConfigValue* value_ = nullptr;
};

class ConfigReader {
 public:
  // Throws unless `object` is one and has only `known` keys.
  ConfigReader(std::string op, const ConfigValue& object, const std::vector<std::string>& known);
  // The first of the keys that is present and not null.
  ConfigField find(std::initializer_list<const char*> keys) const;

 private:
  std::string op_;
  const ConfigValue& object_;
};

// Writes one JSON object, member by member.
class JsonWriter {
 public:
  void raw(const std::string& key, const std::string& json);
  void number(const char* key, double value) { raw(key, json(value)); }
  void integer(const char* key, int64_t value) { raw(key, std::to_string(value)); }
  void flag(const char* key, bool value) { raw(key, value ? "true" : "false"); }
  void text(const char* key, const std::string& value) { raw(key, quoted(value)); }
  std::string str() const;

  static std::string quoted(const std::string& text);  // bytes that are not UTF-8 become U+FFFD
  // The shortest form that reads back equal, as f64 or as f32; null if not finite.
  static std::string json(double value);
  static std::string json_f32(float value);
  template <class List, class Write>
  static std::string list(const List& values, const Write& write) {
    std::string out;
    for (const auto& v : values) out += (out.empty() ? "" : ", ") + write(v);
    return "[" + out + "]";
  }

 private:
  std::vector<std::string> members_;
};

// Of one object that has been parsed already.
ActivationConfig read_activation_config(const ConfigValue& value);

}  // namespace sinew
