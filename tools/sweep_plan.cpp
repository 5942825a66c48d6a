// Settings are compared as the JSON that is written, so NaN is null on both sides.
#include "sweep_plan.h"

#include <filesystem>
#include <set>

#include "json_file.h"
#include "sinew/io.h"
#include "sweep_summary.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;
constexpr JsonLimits limits = {64 << 20, 16};

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The settings of all cells: of the record of one of them. The network's without the cell's part.
Json common_settings(const Json& record, const ComparisonSettings& cell) {
  Json out = Json::object();
  for (const auto& [key, value] : record.items())
    if (!of_cell(key)) out[key] = value;
  Json network = Json::parse(to_json(cell.network));
  for (const char* key : {"shape", "input_dim", "depth", "k", "activation_type"})
    network.erase(key);
  out["network"] = network;
  const auto& depth = cell.contenders.dense_depth;
  out["dense_depth"] = depth ? Json(*depth) : Json();
  return out;
}

const Json& part(const Json& json, const char* key, Json::value_t type) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || found->type() != type)
    throw Error("is not the manifest of a sweep (" + std::string(key) + ")");
  return *found;
}

bool is_object(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_object();
}

// Throws unless the summary can be made of these results.
void require_whole(const Json& results) {
  const auto require = [](bool good, const char* what) {
    if (!good) throw Error(what);
  };
  require(
      results.is_object() && is_object(results, "environment") && is_object(results, "manifest"),
      "no results of a comparison (environment, manifest)");
  for (const char* list : {"models", "reference_lines"}) {
    const auto found = results.find(list);
    require(found != results.end() && found->is_array() && !found->empty(),
            "no results of a comparison (models, reference_lines)");
    std::set<std::string> names;
    for (const Json& one : *found) {
      const auto name = one.is_object() ? one.find("name") : one.end();
      require(one.is_object() && name != one.end() && name->is_string(),
              "a model or reference line without a name");
      require(names.insert(name->get<std::string>()).second, "a name occurs twice");
      require(is_object(one, "metrics_test"), "a model or reference line without metrics_test");
    }
  }
  const auto baselines = results["manifest"].find("baselines");
  require(baselines != results["manifest"].end() && baselines->is_array() &&
              baselines->size() + 1 == results["models"].size(),
          "not the models of its manifest");
}

std::string cell_difference(const Json& stored, const SweepPlan& plan, const PlannedCell& cell) {
  Json wanted = plan.settings;
  for (const auto& [key, value] : cell.settings.items()) wanted[key] = value;
  Json old = Json::object();
  for (const auto& [key, value] : wanted.items())
    if (stored.contains(key)) old[key] = stored[key];
  return difference(old, wanted);
}

}  // namespace

bool of_cell(const std::string& key) {
  static const std::set<std::string> keys = {"shape",   "features",   "depth_sparse",
                                             "k",       "seed",       "sparse_activation",
                                             "network", "dense_depth"};
  return keys.contains(key) || (key.ends_with("_width") && key != "dense_max_width");
}

SweepPlan make_plan(const std::vector<SweepCell>& cells, const RunFlags& run) {
  SweepPlan plan;
  for (const SweepCell& cell : cells) {
    const Json record = about(cell.run_id, [&] { return settings_record(cell.settings, run); });
    Json own = Json::object();
    for (const auto& [key, value] : record.items())
      if (of_cell(key)) own[key] = value;
    if (plan.cells.empty()) plan.settings = common_settings(record, cell.settings);
    plan.cells.push_back({cell.run_id, own});
  }
  return plan;
}

std::string to_json(const SweepPlan& plan) {
  Json cells = Json::array();
  for (const PlannedCell& cell : plan.cells)
    cells.push_back({{"run_id", cell.run_id}, {"settings", cell.settings}});
  const Json out = {{"settings", plan.settings}, {"cells", cells}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

SweepPlan read_plan(const std::string& manifest) {
  const Json file = read_json(manifest, limits);
  return about(manifest, [&] {
    SweepPlan plan;
    plan.settings = part(file, "settings", Json::value_t::object);
    std::set<std::string> ids;
    for (const Json& cell : part(file, "cells", Json::value_t::array)) {
      plan.cells.push_back({part(cell, "run_id", Json::value_t::string).get<std::string>(),
                            part(cell, "settings", Json::value_t::object)});
      const std::string& id = plan.cells.back().run_id;
      if (id.rfind("task=", 0) != 0 || !ids.insert(id).second)
        throw Error("is not the manifest of a sweep (run_id)");
    }
    if (plan.cells.empty()) throw Error("is not the manifest of a sweep (cells)");
    return plan;
  });
}

std::string difference(const Json& old, const Json& now) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : now.items()) keys.push_back(key);
  for (const auto& [key, value] : old.items())
    if (!now.contains(key)) keys.push_back(key);
  for (const std::string& key : keys) {
    const Json* then = old.contains(key) ? &old[key] : nullptr;
    const Json* here = now.contains(key) ? &now[key] : nullptr;
    const std::string was = then ? dump(*then) : "nothing", is = here ? dump(*here) : "nothing";
    if (was == is) continue;
    if (then && here && then->is_object() && here->is_object())
      if (const std::string inner = difference(*then, *here); !inner.empty())
        return key + "." + inner;
    return printable(key, 100) + ": " + printable(was, 200) + ", now " + printable(is, 200);
  }
  return "";
}

CellState read_cell(const std::string& sweep, const SweepPlan& plan, size_t cell) {
  using Kind = CellState::Kind;
  const PlannedCell& planned = plan.cells[cell];
  const std::string folder = sweep + "/" + planned.folder();
  std::error_code ignored;
  const auto exists = [&](const char* file) {
    return std::filesystem::exists(std::filesystem::symlink_status(folder + file, ignored));
  };
  CellState state;
  if (exists("/results.json")) {
    try {
      const Json results = read_json(folder + "/results.json", limits);
      require_whole(results);
      state.fault = cell_difference(results["manifest"], plan, planned);
      state.kind = state.fault.empty() ? Kind::complete : Kind::other;
      if (state.fault.empty()) state.rows = rows_of(planned, results);
    } catch (const Error& error) {
      state = {Kind::broken, error.what(), {}};
    }
  }
  if (state.kind == Kind::complete || !exists("/error.json")) return state;
  try {
    const Json file = read_json(folder + "/error.json", limits);
    const auto text = file.is_object() ? file.find("error") : file.end();
    const bool good = file.is_object() && text != file.end() && text->is_string();
    return {Kind::failed,
            good ? text->get<std::string>() : "unknown",
            {error_row(planned, good ? text->get<std::string>() : "unknown")}};
  } catch (const Error& error) {
    return {Kind::failed, error.what(), {error_row(planned, error.what())}};
  }
}

}  // namespace sinew::tools
