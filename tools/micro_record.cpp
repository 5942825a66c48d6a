// The table and the files of `sinew micro`: manifest.json, summary.csv, results.json.
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>

#include "bench_json.h"
#include "environment.h"
#include "micro.h"
#include "sinew/device.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

const char* name(Replay replay) { return replay == Replay::yes ? "replayed" : "eager"; }
std::string model_of(const MicroLine& line) {
  return "geo_sparse_" + std::string(name(line.part)) + "_" + line.mode;
}

Json figures(const MicroLine& line, const Ceilings& ceilings) {
  Json out = case_json(line.result, ceilings);
  const auto& rounds = line.result.timing.rounds;
  for (const char* key : {"name", "calls_per_round", "bytes", "operations", "parameters"})
    out.erase(key);
  out["steps_ms"] = out["rounds_ms"];  // ascending
  out.erase("rounds_ms");
  out["mean_ms"] =
      1e3 * std::accumulate(rounds.begin(), rounds.end(), 0.0) / static_cast<double>(rounds.size());
  out["loop_ms"] = 1e3 * line.loop;
  return out;
}

// An object per model: the medians by the reference's names (of the replayed call, else of the
// eager one: lines come in this order), then everything about each work.
Json models_of(const std::vector<MicroLine>& lines, const Ceilings& ceilings) {
  std::map<std::string, size_t> place;
  Json out = Json::array();
  for (const MicroLine& line : lines) {
    const std::string model = model_of(line), work = name(line.work);
    if (place.try_emplace(model, out.size()).second) {
      out.push_back({{"name", model}});
      for (const Work any : all_works) out.back()[name(any) + std::string("_ms")] = nullptr;
      out.back()["parameters"] = line.result.parameters;
    }
    Json& entry = out[place[model]];
    entry[work + "_ms"] = 1e3 * line.result.timing.median();
    entry[work]["bytes"] = line.result.cost.bytes;
    entry[work]["operations"] = line.result.cost.operations;
    entry[work][name(line.replay)] = figures(line, ceilings);
  }
  return out;
}

Json manifest_of(const MicroSettings& s, const RunFlags& run) {
  const ConnectivityOptions& c = s.network.connectivity;
  const Json network = Json::parse(to_json(s.network));
  return {{"shape", c.shape},
          {"features", s.network.input_dim},
          {"k", c.k},
          {"pattern", network["pattern"]},
          {"radius", network["radius"]},
          {"wrap_mode", network["wrap_mode"]},
          {"activation", network["activation_type"]},
          {"norm", network["norm"]},
          {"batch_size", s.batch_size},
          {"steps", s.steps},
          {"warmup", s.warmup},
          {"device", name(device())},
          {"dtype", run.data_type() == DType::f64 ? "float64" : "float32"},
          {"precision", run.precision},
          {"graph", run.graph},
          {"fusion", fusion() == Fusion::on},
          {"threads", threads()},
          {"isa", name(isa())},
          {"compute_mode", s.compute_mode},
          {"compute_modes", s.modes()},
          {"compute_modes_are_one_kernel", true},
          {"ceilings", s.ceilings},
          {"seed", s.seed},
          {"network", network}};
}

// Columns of numbers: the members of objects by their path.
void flatten(const std::string& path, const Json& value, std::string& head, std::string& row) {
  if (value.is_array()) return;
  if (value.is_object()) {
    for (const auto& [key, member] : value.items())
      flatten(path.empty() ? key : path + "_" + key, member, head, row);
    return;
  }
  const bool first = head.empty();
  head += (first ? "" : ",") + path;
  row += (first ? "" : ",") + (value.is_null()     ? ""
                               : value.is_string() ? value.get<std::string>()
                                                   : value.dump());
}

std::string summary_of(const Json& models) {
  std::string out;
  for (Json model : models) {
    std::string head, row;
    Json named = {{"model", model["name"]}};
    model.erase("name");
    named.update(model);
    flatten("", named, head, row);
    out += (out.empty() ? head + "\n" : "") + row + "\n";
  }
  return out;
}

}  // namespace

std::string label(const MicroLine& line) {
  return std::string(name(line.part)) + " " + line.mode + " " + name(line.work) + " " +
         name(line.replay);
}

std::string micro_head() {
  char text[80];
  std::snprintf(text, sizeof text, "%-42s %10s %10s %10s", "", "median ms", "min ms", "max ms");
  return text + rates_head() + "\n";
}

std::string micro_row(const Result& result, const Ceilings& ceilings) {
  char text[160];
  const Timing& t = result.timing;
  std::snprintf(text, sizeof text, "%-42s %10.4f %10.4f %10.4f", result.name.c_str(),
                1e3 * t.median(), 1e3 * t.rounds.front(), 1e3 * t.rounds.back());
  return text + rates(result, ceilings) + "\n";
}

std::string recommended_mode(const std::vector<MicroLine>& lines) {
  std::map<std::string, std::map<Part, double>> times;  // the last way of each part counts
  for (const MicroLine& line : lines)
    if (line.work == Work::forward_backward)
      times[line.mode][line.part] = line.result.timing.median();
  std::string best;
  double least = 0;
  if (times.size() < 2) return best;
  for (const auto& [mode, parts] : times) {
    const double mean = (parts.at(Part::linear) + parts.at(Part::block)) / 2;
    if (best.empty() || mean < least) best = mode, least = mean;
  }
  return best;
}

void write_micro(const std::string& folder, const MicroSettings& settings, const RunFlags& run,
                 const Ceilings& ceilings, const std::vector<MicroLine>& lines) {
  const Json manifest = manifest_of(settings, run), models = models_of(lines, ceilings);
  const std::string recommended = recommended_mode(lines);
  const Json results = {
      {"environment", environment(run)},
      {"manifest", manifest},
      {"ceilings", ceilings_json(ceilings)},
      {"recommended_compute_mode", recommended.empty() ? Json() : Json(recommended)},
      {"results", models}};
  try {
    write_file(folder + "/manifest.json", manifest.dump(2) + "\n");
    write_file(folder + "/summary.csv", summary_of(models));
    write_file(folder + "/results.json", results.dump(2) + "\n");
  } catch (const Error&) {
    std::error_code ignored;
    for (const char* file : micro_files) std::filesystem::remove(folder + "/" + file, ignored);
    throw;
  }
}

}  // namespace sinew::tools
