// sinew params: parameter counts of a network, by formula and as built, and dense networks of
// matched size. Formulas: params.h.
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "network_flags.h"
#include "sinew/params.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Match {
  const char* name;
  WidthMatch match;
};

struct Params {
  RunFlags run;
  NetworkFlags network;
  bool json = false;
};

int64_t analytic(const NetworkConfig& c) {
  const DenseNetSize dense{c.input_dim, c.output_dim, c.depth};
  switch (c.model) {
    case ModelKind::geo_sparse:
      return geo_net_parameters({c.input_dim, c.output_dim, c.depth, c.connectivity.k, c.bias})
          .analytic;
    case ModelKind::mlp: return mlp_parameters(dense, c.hidden_dim).analytic;
    case ModelKind::dense_residual: return dense_residual_parameters(dense, c.hidden_dim).analytic;
  }
  return 0;
}

// Dense nets of the network's depth, residual ones with its norm, closest to `target` parameters.
std::vector<Match> matches(const NetworkConfig& c, int64_t target) {
  const auto size = [&](const std::string& norm, const char* activation) {
    return DenseNetSize{c.input_dim, c.output_dim, c.depth, norm_multiplier(norm),
                        activation_multiplier(activation)};
  };
  const char* norm = name(c.norm);
  return {{"dense_resrelu", match_dense_residual_width(target, size(norm, "relu"))},
          {"dense_respsann", match_dense_residual_width(target, size(norm, "psann"))},
          {"dense_relu", match_mlp_width(target, size("none", "relu"))},
          {"dense_psann", match_mlp_width(target, size("none", "psann"))}};
}

Json as_json(const NetworkConfig& config, Network& net) {
  Json out;
  out["params_analytic"] = analytic(config);
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
  for (const Match& m : matches(config, net.parameter_count()))
    out["matched"].push_back({{"name", m.name},
                              {"width", m.match.width},
                              {"params_empirical", m.match.parameters},
                              {"param_mismatch", m.match.mismatch},
                              {"param_mismatch_ratio", m.match.ratio}});
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

void add_params(CLI::App& app) {
  const auto params = std::make_shared<Params>();
  CLI::App* sub = add_command(app, "params", "Count a network's parameters; match dense networks",
                              "sinew params --shape 8x8 --k 8 --depth 4");
  params->network.add_to(*sub);
  sub->add_flag("--json", params->json, "print JSON");
  add_run_flags(*sub, params->run);
  sub->callback([params] { show(*params); });
}

}  // namespace sinew::tools
