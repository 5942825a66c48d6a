// sinew params: parameter counts of a network, by formula and as built, and dense networks of
// matched size. Formulas: params.h; widths: compare.h.
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "network_flags.h"
#include "sinew/compare.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Params {
  RunFlags run;
  NetworkFlags network;
  bool json = false;
};

int64_t analytic_dense(const NetworkConfig& c) {
  const DenseNetSize size{c.input_dim, c.output_dim, c.depth};
  return c.model == ModelKind::mlp ? mlp_parameters(size, c.hidden_dim).analytic
                                   : dense_residual_parameters(size, c.hidden_dim).analytic;
}

// geo_sparse and the dense networks that match it; none for a dense network.
std::vector<Contender> matched(const NetworkConfig& c) {
  if (c.model != ModelKind::geo_sparse) return {};
  return contenders(
      c, {.baselines = {"dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"}});
}

Json as_json(const NetworkConfig& config, Network& net) {
  Json out;
  const std::vector<Contender> models = matched(config);
  out["params_analytic"] = models.empty() ? analytic_dense(config) : models[0].parameters.analytic;
  out["params_empirical"] = net.parameter_count();
  out["params_trainable"] = net.trainable_count();
  out["layers"] = Json::array();
  for (const Parameter& p : net.parameters())
    out["layers"].push_back(
        {{"name", p.name},
         {"shape", std::vector<int64_t>(p.tensor->shape().begin(), p.tensor->shape().end())},
         {"params", p.tensor->numel()},
         {"trainable", p.trainable}});
  out["matched"] = Json::array();
  for (const Contender& m : models)
    if (m.match)
      out["matched"].push_back({{"name", m.name},
                                {"width", m.match->width},
                                {"params_empirical", m.match->parameters},
                                {"param_mismatch", m.match->mismatch},
                                {"param_mismatch_ratio", m.match->ratio}});
  return out;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::string right(const std::string& text, size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ') + text;
}

std::string as_text(const Json& counts) {
  std::string out;
  const auto number = [](const Json& value) { return std::to_string(value.get<int64_t>()); };
  for (const char* key : {"analytic", "empirical", "trainable"})
    out += padded(key, 10) + right(number(counts["params_" + std::string(key)]), 12) + "\n";
  out += "\n" + padded("layer", 32) + padded("shape", 16) + right("parameters", 12) + "\n";
  for (const Json& layer : counts["layers"]) {
    const auto shape = layer["shape"].get<std::vector<int64_t>>();
    out += padded(layer["name"].get<std::string>(), 31) + " " + padded(Shape(shape).str(), 15) +
           " " + right(number(layer["params"]), 12) + (layer["trainable"] ? "" : "  frozen") + "\n";
  }
  if (counts["matched"].empty()) return out;
  out += "\n" + padded("matched dense", 18) + right("width", 8) + right("parameters", 12) +
         right("mismatch", 10) + "\n";
  for (const Json& m : counts["matched"]) {
    char percent[32];
    std::snprintf(percent, sizeof percent, "%.2f %%",
                  100 * m["param_mismatch_ratio"].get<double>());
    out += padded(m["name"].get<std::string>(), 18) + right(number(m["width"]), 8) +
           right(number(m["params_empirical"]), 12) + right(number(m["param_mismatch"]), 10) +
           right(percent, 10) + "\n";
  }
  return out;
}

void show(const Params& params) {
  params.run.apply();
  const NetworkConfig config = checked(params.network.config({}));
  TorchGenerator generator(0);
  const auto net = make_network(config, generator);
  const Json counts = as_json(config, *net);
  work_starts();
  print(params.run, params.json ? counts.dump(1) + "\n" : as_text(counts));
}

}  // namespace

void add_params(Flags& program) {
  const auto params = std::make_shared<Params>();
  Flags flags =
      program.add_command("params", "Count a network's parameters; match dense networks",
                          "sinew params --shape 8x8 --k 8 --depth 4", [params] { show(*params); });
  params->network.add_to(flags);
  flags.add("--json", params->json, "print JSON");
  add_run_flags(flags, params->run);
}

}  // namespace sinew::tools
