// NetworkConfig from and to JSON, and its ranges. Keys: nn.h.
#include "nn/network_config.h"

#include <algorithm>
#include <charconv>

#include "nn/config_value.h"
#include "nn/file.h"

namespace sinew {
namespace {

constexpr const char* op = "network";
const std::vector<std::string> models = {"geo_sparse", "mlp", "dense_residual"};
const std::vector<std::string> norms = {"rms", "layer", "none"};
const std::vector<std::string> modes = {"gather", "scatter"};
const std::vector<std::string> common_keys = {
    "model", "sinew", "input_dim", "output_dim", "depth", "activation_type", "activation_config"};
const std::vector<std::string> model_keys[] = {
    {"shape", "k", "pattern", "radius", "offsets", "wrap_mode", "norm", "drop_path_max",
     "residual_alpha_init", "bias", "compute_mode", "seed", "include_self", "allow_repeats",
     "offset_order", "distinct", "dilation"},
    {"hidden_dim"},
    {"hidden_dim", "norm", "residual_alpha_init"}};

std::vector<int64_t> read_shape(const ConfigField& field) {
  std::vector<int64_t> shape;
  if (!field.is(ConfigValue::Kind::text)) {
    for (const ConfigField& size : field.list()) shape.push_back(size.integer());
    return shape;
  }
  const std::string text = normalised(field.text());  // "8x8" or "8,8"
  const char *at = text.data(), *end = at + text.size();
  for (bool more = true; more;) {
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc()) field.fail("[H, W] or \"HxW\"");
    shape.push_back(size);
    more = next != end;
    if (more && *next != 'x' && *next != ',') field.fail("[H, W] or \"HxW\"");
    at = next + 1;
  }
  return shape;
}

std::vector<std::vector<int64_t>> read_offsets(const ConfigField& field) {
  std::vector<std::vector<int64_t>> offsets;
  for (const ConfigField& entry : field.list()) {
    offsets.emplace_back();
    for (const ConfigField& step : entry.list()) offsets.back().push_back(step.integer());
  }
  return offsets;
}

void read_radius(const ConfigField& field, std::optional<int64_t>& radius) {
  if (!field.is(ConfigValue::Kind::text)) {
    radius = field.integer();
  } else {
    if (normalised(field.text()) != "auto") field.fail("a whole number or \"auto\"");
    radius.reset();
  }
}

void read_connectivity(const ConfigReader& reader, ConnectivityOptions& c) {
  if (const auto f = reader.find({"shape"})) c.shape = read_shape(f);
  if (const auto f = reader.find({"k"})) c.k = f.integer();
  if (const auto f = reader.find({"pattern"})) c.pattern = parse_pattern(printable(f.text()));
  if (const auto f = reader.find({"radius"})) read_radius(f, c.radius);
  if (const auto f = reader.find({"offsets"})) c.offsets = read_offsets(f);
  if (const auto f = reader.find({"wrap_mode"})) c.wrap_mode = parse_wrap_mode(printable(f.text()));
  if (const auto f = reader.find({"seed"})) c.seed = f.integer();
  if (const auto f = reader.find({"include_self"})) c.include_self = f.flag();
  if (const auto f = reader.find({"allow_repeats"})) c.allow_repeats = f.flag();
  if (const auto f = reader.find({"offset_order"}))
    c.offset_order = parse_offset_order(printable(f.text()));
  if (const auto f = reader.find({"distinct"})) c.distinct = f.flag();
  if (const auto f = reader.find({"dilation"})) c.dilation = f.integer();
}

NetworkConfig read_config(const ConfigValue& value, NetworkConfig c) {
  if (value.kind != ConfigValue::Kind::object) throw Error("network: needs a JSON object");
  for (size_t i = 0; i < value.keys.size(); ++i)  // the model decides which keys are known
    if (value.keys[i] == "model" && value.items[i].kind != ConfigValue::Kind::null)
      c.model = static_cast<ModelKind>(
          choose(op, "model", ConfigField("network: model", &value.items[i]).text(), models));
  auto keys = common_keys;
  const auto& more = model_keys[static_cast<size_t>(c.model)];
  keys.insert(keys.end(), more.begin(), more.end());

  for (const auto& others : model_keys)
    for (const std::string& key : others)
      if (std::find(keys.begin(), keys.end(), key) == keys.end() &&
          std::find(value.keys.begin(), value.keys.end(), key) != value.keys.end())
        throw Error("network: " + models[static_cast<size_t>(c.model)] + " has no " + key);
  const ConfigReader reader(op, value, keys);
  if (const auto f = reader.find({"input_dim"})) c.input_dim = f.integer();
  if (const auto f = reader.find({"output_dim"})) c.output_dim = f.integer();
  if (const auto f = reader.find({"hidden_dim"})) c.hidden_dim = f.integer();
  if (const auto f = reader.find({"depth"})) c.depth = f.integer();
  if (const auto f = reader.find({"activation_type"})) c.activation = parse_activation(f.text());
  if (const auto f = reader.find({"activation_config"}))
    c.activation_config = read_activation_config(f.value());
  if (const auto f = reader.find({"norm"})) c.norm = parse_norm(f.text());
  if (const auto f = reader.find({"residual_alpha_init"})) c.residual_alpha_init = f.number();
  if (const auto f = reader.find({"drop_path_max"})) c.drop_path_max = f.number();
  if (const auto f = reader.find({"bias"})) c.bias = f.flag() ? Bias::yes : Bias::no;
  if (const auto f = reader.find({"compute_mode"}))
    c.compute_mode = static_cast<ComputeMode>(choose(op, "compute_mode", f.text(), modes));
  read_connectivity(reader, c.connectivity);
  return c;
}

// --- ranges ---
void require(bool ok, const NetworkConfig& c, const std::string& fact) {
  if (!ok) throw Error(models[static_cast<size_t>(c.model)] + ": " + fact);
}

void check_size(const NetworkConfig& c, const char* what, int64_t size) {
  require(size > 0 && size <= INT32_MAX, c,
          std::string(what) + " outside [1, 2^31) (" + std::to_string(size) + ")");
}

void check_geo(NetworkConfig& c) {
  const auto& shape = c.connectivity.shape;
  require(!shape.empty(), c, "shape is missing (H x W)");
  require(shape.size() == 2, c, "shape needs two sizes (has " + std::to_string(shape.size()) + ")");
  for (int64_t size : shape) check_size(c, "a size of shape", size);
  require(shape[0] <= INT32_MAX / shape[1], c,
          "H * W is 2^31 or more (" + std::to_string(shape[0]) + " x " + std::to_string(shape[1]) +
              ")");
  const int64_t n = shape[0] * shape[1];
  if (c.input_dim == 0) c.input_dim = n;
  require(
      c.input_dim == n, c,
      "input_dim is not H * W (" + std::to_string(c.input_dim) + ", " + std::to_string(n) + ")");
  check_size(c, "output_dim", c.output_dim);
  check_size(c, "k", c.connectivity.k);
  require(c.connectivity.k <= INT32_MAX / n, c,
          "n * k is 2^31 or more (" + std::to_string(n) + " * " + std::to_string(c.connectivity.k) +
              ")");
  require(c.drop_path_max >= 0 && c.drop_path_max < 1, c,
          "drop_path_max outside [0, 1) (" + JsonWriter::json(c.drop_path_max) + ")");
}

// --- writing ---
const char* flag(bool value) { return value ? "true" : "false"; }

void write_connectivity(JsonWriter& out, const ConnectivityOptions& c) {
  const auto number = [](int64_t v) { return std::to_string(v); };
  out.raw("shape", JsonWriter::list(c.shape, number));
  out.integer("k", c.k);
  out.text("pattern", c.pattern == Pattern::local    ? "local"
                      : c.pattern == Pattern::random ? "random"
                                                     : "hash");
  out.raw("radius", c.radius ? std::to_string(*c.radius) : "\"auto\"");
  if (c.offsets)
    out.raw("offsets", JsonWriter::list(*c.offsets, [&](const auto& step) {
              return JsonWriter::list(step, number);
            }));
  out.text("wrap_mode", c.wrap_mode == WrapMode::clamp ? "clamp" : "wrap");
  if (c.seed) out.integer("seed", *c.seed);
  out.raw("include_self", flag(c.include_self));
  out.raw("allow_repeats", flag(c.allow_repeats));
  out.text("offset_order", c.offset_order == OffsetOrder::reference ? "reference" : "distance");
  out.raw("distinct", flag(c.distinct));
  out.integer("dilation", c.dilation);
}

}  // namespace

const char* name(NormKind kind) { return norms[static_cast<size_t>(kind)].c_str(); }

NormKind parse_norm(const std::string& text) {
  return static_cast<NormKind>(choose("norm", "kind", text, norms));
}

NetworkConfig checked(NetworkConfig c) {
  check_size(c, "depth", c.depth);
  if (c.model == ModelKind::geo_sparse) {
    check_geo(c);
  } else {
    check_size(c, "input_dim", c.input_dim);
    check_size(c, "hidden_dim", c.hidden_dim);
    check_size(c, "output_dim", c.output_dim);
  }
  return c;
}

double least_parameters(const NetworkConfig& c) {
  const double depth = static_cast<double>(c.depth), inputs = static_cast<double>(c.input_dim),
               outputs = static_cast<double>(c.output_dim),
               k = static_cast<double>(c.connectivity.k), width = static_cast<double>(c.hidden_dim);
  switch (c.model) {
    case ModelKind::geo_sparse: return depth * 2 * inputs * k + inputs * outputs;
    case ModelKind::mlp: return width * (inputs + (depth - 1) * width + outputs);
    case ModelKind::dense_residual: return width * (inputs + depth * 2 * width + outputs);
  }
  return 0;
}

void require_parameters_fit(const NetworkConfig& c) {
  const double least = least_parameters(c);
  const double block = 8192;  // bytes of a block or layer without its parameters, at least
  require(
      4 * least + block * static_cast<double>(c.depth) <= static_cast<double>(memory_of_machine()),
      c, "more than " + JsonWriter::json(least) + " parameters do not fit into memory");
}

NetworkConfig overlay_network_config(const std::string& json, const NetworkConfig& base) {
  return read_config(parse_json(op, json), base);
}

NetworkConfig parse_network_config(const std::string& json) {
  return checked(overlay_network_config(json, {}));
}

std::string to_json(const NetworkConfig& c) {
  const bool geo = c.model == ModelKind::geo_sparse;
  JsonWriter out;
  out.text("model", models[static_cast<size_t>(c.model)]);
  if (c.input_dim > 0) out.integer("input_dim", c.input_dim);
  out.integer("output_dim", c.output_dim);
  if (!geo) out.integer("hidden_dim", c.hidden_dim);
  out.integer("depth", c.depth);
  out.text("activation_type", name(c.activation));
  out.raw("activation_config", to_json(c.activation_config));
  if (c.model != ModelKind::mlp) {
    out.text("norm", name(c.norm));
    out.number("residual_alpha_init", c.residual_alpha_init);
  }
  if (!geo) return out.str();
  out.number("drop_path_max", c.drop_path_max);
  out.raw("bias", flag(c.bias == Bias::yes));
  out.text("compute_mode", modes[static_cast<size_t>(c.compute_mode)]);
  write_connectivity(out, c.connectivity);
  return out.str();
}

}  // namespace sinew
