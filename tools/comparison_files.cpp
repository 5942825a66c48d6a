// The files of a comparison's folder.
#include <filesystem>
#include <set>

#include "comparison.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// The reference's columns: the parts of `train` by their names, metrics as train_, val_, test_.
Json summary_row(const Json& model) {
  Json row = {{"model", model["name"]}};
  for (const auto& [key, value] : model.items()) {
    if (key == "train") {
      row.update(value);
    } else if (key.rfind("metrics_", 0) == 0) {
      for (const auto& [name, figure] : value.items()) row[key.substr(8) + "_" + name] = figure;
    } else if (key == "best") {
      row["best_epoch"] = value["epoch"];
      row["best_by"] = value["by"];
      for (const auto& [name, figure] : value["metrics_test"].items())
        row["best_test_" + name] = figure;
    } else if (key != "name" && key != "curve") {
      row[key] = value;
    }
  }
  return row;
}

}  // namespace

std::string to_csv(const std::vector<Json>& rows) {
  std::set<std::string> columns;
  for (const Json& row : rows)
    for (const auto& item : row.items()) columns.insert(item.key());
  std::string out, separator;
  for (const std::string& column : columns) {
    out += separator + cell(column);
    separator = ",";
  }
  for (const Json& row : rows) {
    separator = "\n";
    for (const std::string& column : columns) {
      out += separator + (row.contains(column) ? cell(row[column]) : "");
      separator = ",";
    }
  }
  return out + "\n";
}

void write_comparison(const std::string& folder, const Json& results) {
  const auto text = [](const Json& json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  std::vector<Json> rows;
  for (const Json& model : results["models"]) rows.push_back(summary_row(model));
  std::error_code ignored;  // never an old results.json beside a new manifest
  std::filesystem::remove(folder + "/results.json", ignored);
  write_file(folder + "/manifest.json", text(results["manifest"]));
  write_file(folder + "/summary.csv", to_csv(rows));
  write_file(folder + "/results.json", text(results));
}

}  // namespace sinew::tools
