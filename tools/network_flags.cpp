// Flags of a network: each becomes a JSON object of one key, read over the configuration so far by
// the library, which knows keys, types and ranges.
#include "network_flags.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "command.h"
#include "sinew/error.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

enum class Kind : uint8_t { text, number, json, truth };

std::string quoted(const std::string& text) {
  using Json = nlohmann::json;
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A flag's text as JSON. What is no number stays a text, which the library refuses or knows.
std::string json_of(const std::string& flag, Kind kind, const std::string& text) {
  const bool numeric = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  if (kind == Kind::number && numeric && nlohmann::json::accept(text)) return text;
  if (kind != Kind::json) return quoted(text);
  const bool file = text.size() > 5 && text.compare(text.size() - 5, 5, ".json") == 0;
  const std::string json = file ? read_file(text) : text;
  if (!nlohmann::json::accept(json))
    throw Error(flag + ": " + (file ? text + ": " : "") + "no valid JSON");
  return json;
}

int64_t most_square_height(int64_t n) {
  int64_t height = 1;
  for (int64_t h = 1; h * h <= n; ++h)
    if (n % h == 0) height = h;
  return height;
}

std::string times(const std::vector<int64_t>& shape) {
  return std::to_string(shape[0]) + " x " + std::to_string(shape[1]);
}

void fit_shape(NetworkConfig& c, int64_t features, const std::vector<int64_t>& grid) {
  auto& shape = c.connectivity.shape;
  if (shape.empty()) {
    const int64_t height = most_square_height(features);
    shape = grid.empty() ? std::vector<int64_t>{height, features / height} : grid;
  }
  if (!grid.empty() && shape.size() == 2 && shape != grid)
    throw Error("the network's shape is " + times(shape) + ", the data's " + times(grid));
}

}  // namespace

struct NetworkFlags::Key {
  const char *names, *key;  // names: with commas; of a truth without --
  Kind kind;
  const char *value, *what;  // the default
};

void NetworkFlags::add_value(Flags& flags, const Key& key) {
  const std::string names = key.names;
  const std::string name = names.substr(0, names.find(','));
  const auto set = [this, name, key](const std::string& text) {
    members_.push_back(
        {name, "{\"" + std::string(key.key) + "\": " + json_of(name, key.kind, text) + "}"});
  };
  flags.add(names, set, key.what)
      .shown(key.value)
      .type(key.kind == Kind::number ? "NUMBER"
            : key.kind == Kind::json ? "JSON"
                                     : "TEXT")
      .group("Network");
}

void NetworkFlags::add_truth(Flags& flags, const Key& key) {
  const auto set = [this, key](bool on) {
    members_.push_back({(on ? "--" : "--no-") + std::string(key.names),
                        "{\"" + std::string(key.key) + "\": " + (on ? "true" : "false") + "}"});
  };
  flags.add_switch(key.names, set, std::string(key.what) + " [" + key.value + "]").group("Network");
}

void NetworkFlags::add_to(Flags& flags, const std::vector<std::string>& without) {
  static constexpr Key keys[] = {
      {"--model", "model", Kind::text, "geo_sparse", "geo_sparse, mlp or dense_residual"},
      {"--shape", "shape", Kind::text, "of the data", "grid of the features, HxW"},
      {"--depth", "depth", Kind::number, "4", "blocks, or hidden layers of mlp"},
      {"--k", "k", Kind::number, "8", "inputs that each feature of a layer reads"},
      {"--pattern", "pattern", Kind::text, "local", "how inputs are chosen: local, random or hash"},
      {"--radius", "radius", Kind::number, "1", "of the window around a cell, in cells, or auto"},
      {"--offsets", "offsets", Kind::json, "none", "[[row, column], ...] in place of --radius"},
      {"--wrap-mode", "wrap_mode", Kind::text, "clamp", "at the borders: clamp or wrap"},
      {"--activation,--activation-type,--sparse-activation", "activation_type", Kind::text, "psann",
       "psann, phase_psann, relu_sigmoid_psann, relu, tanh or mixed"},
      {"--activation-config", "activation_config", Kind::json, "{}",
       "JSON like {\"decay_init\": 0.2}, or FILE.json; mixed needs its activation_types"},
      {"--norm", "norm", Kind::text, "rms", "of a block's input: rms, layer or none"},
      {"--drop-path-max", "drop_path_max", Kind::number, "0",
       "probability that a block is skipped in training, of the last block"},
      {"--residual-alpha-init", "residual_alpha_init", Kind::number, "0",
       "initial alpha of x + alpha f(x)"},
      {"bias", "bias", Kind::truth, "on", "biases of the sparse layers"},
      {"--compute-mode", "compute_mode", Kind::text, "gather",
       "gather or scatter; both run one kernel"},
      {"--net-seed", "seed", Kind::number, "none",
       "seed of index tables and mixed layouts; none: drawn from --seed"},
      {"--input-dim", "input_dim", Kind::number, "of the data",
       "inputs of the network; geo_sparse: H * W"},
      {"--output-dim", "output_dim", Kind::number, "of the data, else 1", "outputs of the network"},
      {"--hidden-dim", "hidden_dim", Kind::number, "none", "width of mlp and dense_residual"},
      {"include-self", "include_self", Kind::truth, "on", "a feature may read its own cell"},
      {"allow-repeats", "allow_repeats", Kind::truth, "on", "an input may occur several times"},
      {"--offset-order", "offset_order", Kind::text, "reference",
       "order of candidates: reference, or distance: nearest first"},
      {"distinct", "distinct", Kind::truth, "off",
       "k different inputs each; the window grows until there are"},
      {"--dilation", "dilation", Kind::number, "1", "factor of every offset"}};
  flags.add("--config", file_, "JSON of the network; the flags below override its keys");
  for (const Key& key : keys) {
    if (std::find(without.begin(), without.end(), key.key) != without.end()) continue;
    key.kind == Kind::truth ? add_truth(flags, key) : add_value(flags, key);
  }
}

NetworkConfig NetworkFlags::config(const NetworkConfig& base) const {
  NetworkConfig c = base;
  const auto overlay = [&](const std::string& source, const std::string& json) {
    about(source, [&] { c = overlay_network_config(json, c); });
  };
  const auto overlay_model = [&] {  // which decides what keys there are
    for (const Member& member : members_)
      if (member.flag == "--model") overlay(member.flag, member.json);
  };
  if (!file_.empty()) {
    const std::string json = read_file(file_);
    try {
      c = overlay_network_config(json, c);
    } catch (const Error&) {  // perhaps it has the keys of --model
      overlay_model();
      overlay(file_, json);
    }
  }
  overlay_model();
  for (const Member& member : members_)
    if (member.flag != "--model") overlay(member.flag, member.json);
  return c;
}

NetworkConfig fit_to_data(NetworkConfig c, int64_t features, const std::vector<int64_t>& grid,
                          int64_t outputs) {
  if (c.model == ModelKind::geo_sparse) fit_shape(c, features, grid);
  if (c.model != ModelKind::geo_sparse && c.input_dim == 0) c.input_dim = features;
  if (c.output_dim == left_open) c.output_dim = outputs;
  c = checked(std::move(c));
  if (c.input_dim != features)
    throw Error("the network has " + std::to_string(c.input_dim) + " inputs, the data " +
                std::to_string(features) + " columns");
  return c;
}

}  // namespace sinew::tools
