// JSON into structs. A value of a wrong type is an error that names its place, manifest.shape for
// instance; keys that nobody asks for do not matter.
#pragma once
#include "command.h"
#include "json_file.h"
#include "report_read.h"
#include "sinew/error.h"
#include "sinew/io.h"

namespace sinew::tools {

// A value of the file and its place in it.
class Value {
 public:
  Value(const nlohmann::ordered_json* json, std::string place)
      : json_(json), place_(std::move(place)) {}

  bool absent() const { return json_ == nullptr || json_->is_null(); }
  Value operator[](const std::string& key) const {
    const std::string place = place_.empty() ? key : place_ + "." + key;
    if (absent()) return {nullptr, place};
    if (!json_->is_object()) fail("is no object");
    const auto found = json_->find(key);
    return {found == json_->end() ? nullptr : &*found, place};
  }
  bool is_list() const { return json_->is_array(); }
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
  const nlohmann::ordered_json* json_;
  std::string place_;
};

// The content of results.json.
void read_cell(const nlohmann::ordered_json& file, Cell& cell);

}  // namespace sinew::tools
