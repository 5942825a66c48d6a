// Names of activations, and ActivationConfig from and to JSON. Keys: nn.h.
#include <cmath>

#include "nn/config_value.h"
#include "sinew/error.h"

namespace sinew {
namespace {

using Kind = ActivationKind;
constexpr const char* op = "activation_config";

struct Alias {
  const char* text;
  Kind kind;
};
// The name of a kind comes first. Alone: all but gelu; in mixed: all but mixed and phasepsann.
const Alias aliases[] = {{"psann", Kind::psann},
                         {"sine", Kind::psann},
                         {"respsann", Kind::psann},
                         {"phase_psann", Kind::phase_psann},
                         {"phasepsann", Kind::phase_psann},
                         {"relu_sigmoid_psann", Kind::relu_sigmoid_psann},
                         {"rspsann", Kind::relu_sigmoid_psann},
                         {"rsp", Kind::relu_sigmoid_psann},
                         {"clipped_psann", Kind::relu_sigmoid_psann},
                         {"relu", Kind::relu},
                         {"tanh", Kind::tanh},
                         {"gelu", Kind::gelu},
                         {"mixed", Kind::mixed}};

template <class Allowed>
Kind find_kind(const char* where, const std::string& text, const Allowed& allowed) {
  const std::string key = normalised(text);
  std::vector<std::string> known;
  for (const Alias& alias : aliases) {
    if (!allowed(alias)) continue;
    if (key == alias.text) return alias.kind;
    known.push_back(alias.text);
  }
  throw_unknown(where, "type", text, known);
}

// clang-format off
const std::vector<std::string> keys = {
    "amplitude_init", "amp_init",         "frequency_init",   "freq_init",         "decay_init",
    "damp_init",      "amp_init_std",     "freq_init_std",    "damp_init_std",     "slope_init_std",
    "amp_range",      "freq_range",       "damp_range",       "slope_range",       "learnable",
    "trainable",      "decay_mode",       "bounds",           "amp_bounds",        "freq_bounds",
    "damp_bounds",    "feature_dim",      "phase_init",       "phase_trainable",   "slope_init",
    "slope_trainable", "relu_slope_init", "slope_learnable",  "clip_max",          "clip_at",
    "types",          "activation_types", "activation_ratios", "ratios",           "mix_layout",
    "layout",         "mix_seed",         "seed",             "ratio_sum_tol"};
// clang-format on
const std::vector<std::string> decays = {"abs", "relu", "none"};    // as in Decay
const std::vector<std::string> layouts = {"contiguous", "random"};  // as in MixLayout
const std::vector<std::string> parts = {"amplitude", "frequency", "decay"};
const std::vector<std::string> learnables = {"amplitude", "frequency", "decay", "none", "all", "*"};
constexpr size_t all_learnable = 4;

VectorInit read_init(const ConfigField& value, const ConfigField& std, const ConfigField& range) {
  VectorInit init;
  if (value) init.value = value.numbers();
  if (std) init.std = std.number();
  if (range) {
    const auto [low, high] = range.pair();
    if (!low || !high) range.fail("two numbers");
    init.range = {*low, *high};
  }
  return init;
}

void read_bounds(const ConfigField& field, Bounds& bounds) {
  if (!field) return;
  bounds = {};
  const auto [low, high] = field.pair();
  if (low) bounds.low = *low;
  if (high) bounds.high = *high;
  if (!(bounds.low <= bounds.high)) field.fail("low <= high");
}

void read_learnable(const ConfigReader& reader, ActivationConfig& c) {
  bool* const flags[] = {&c.amplitude_trainable, &c.frequency_trainable, &c.decay_trainable};
  const ConfigField learnable = reader.find({"learnable"});
  if (!learnable) {
    if (const auto trainable = reader.find({"trainable"}))
      for (bool* flag : flags) *flag = trainable.flag();
    return;
  }
  std::vector<std::string> names;
  if (learnable.is(ConfigValue::Kind::text))
    names.push_back(learnable.text());
  else
    for (const ConfigField& item : learnable.list()) names.push_back(item.text());
  for (bool* flag : flags) *flag = false;
  for (const std::string& name : names) {
    const size_t at = choose(op, "learnable", name, learnables);
    for (size_t i = 0; i < 3; ++i)
      if (at == i || at >= all_learnable) *flags[i] = true;
  }
}

void read_sine(const ConfigReader& reader, ActivationConfig& c) {
  c.amplitude = read_init(reader.find({"amplitude_init", "amp_init"}),
                          reader.find({"amp_init_std"}), reader.find({"amp_range"}));
  c.frequency = read_init(reader.find({"frequency_init", "freq_init"}),
                          reader.find({"freq_init_std"}), reader.find({"freq_range"}));
  c.decay = read_init(reader.find({"decay_init", "damp_init"}), reader.find({"damp_init_std"}),
                      reader.find({"damp_range"}));
  read_learnable(reader, c);
  if (const auto mode = reader.find({"decay_mode"}))
    c.sine.decay = static_cast<Decay>(choose(op, "decay_mode", mode.text(), decays));
  if (const auto bounds = reader.find({"bounds"})) {
    const ConfigReader inner(std::string(op) + ": bounds", bounds.value(), parts);
    read_bounds(inner.find({"amplitude"}), c.sine.amplitude_bounds);
    read_bounds(inner.find({"frequency"}), c.sine.frequency_bounds);
    read_bounds(inner.find({"decay"}), c.sine.decay_bounds);
  }
  read_bounds(reader.find({"amp_bounds"}), c.sine.amplitude_bounds);
  read_bounds(reader.find({"freq_bounds"}), c.sine.frequency_bounds);
  read_bounds(reader.find({"damp_bounds"}), c.sine.decay_bounds);
}

void read_mixed(const ConfigReader& reader, ActivationConfig& c) {
  if (const auto types = reader.find({"activation_types", "types"}))
    for (const ConfigField& type : types.list()) c.types.push_back(parse_mixed_part(type.text()));
  if (const auto ratios = reader.find({"activation_ratios", "ratios"})) {
    c.ratios.emplace();
    for (const ConfigField& ratio : ratios.list()) c.ratios->push_back(ratio.number());
  }
  if (const auto tolerance = reader.find({"ratio_sum_tol"})) c.ratio_sum_tol = tolerance.number();
  if (const auto layout = reader.find({"mix_layout", "layout"}))
    c.mix_layout = static_cast<MixLayout>(choose(op, "mix_layout", layout.text(), layouts));
  if (const auto seed = reader.find({"mix_seed"})) c.mix_seed = seed.integer();
  if (const auto seed = reader.find({"seed"})) c.seed = seed.integer();
}

// --- writing ---
// One value for all features as a number, which is what the reference takes.
std::string initial(const std::vector<double>& values) {
  return values.size() == 1 ? JsonWriter::json(values[0])
                            : JsonWriter::list(values, JsonWriter::json);
}

void write_init(JsonWriter& out, const char* value, const std::string& stem,
                const VectorInit& init) {
  if (init.value) out.raw(value, initial(*init.value));
  if (init.std > 0) out.number((stem + "_init_std").c_str(), init.std);
  if (init.range)
    out.raw((stem + "_range").c_str(), JsonWriter::list(*init.range, JsonWriter::json));
}

void write_bounds(JsonWriter& out, const char* key, const Bounds& b) {
  if (std::isinf(b.low) && std::isinf(b.high)) return;
  out.raw(key, JsonWriter::list(std::array<double, 2>{b.low, b.high}, JsonWriter::json));
}

void write_learnable(JsonWriter& out, const ActivationConfig& c) {
  const bool flags[] = {c.amplitude_trainable, c.frequency_trainable, c.decay_trainable};
  std::vector<std::string> names;
  for (size_t i = 0; i < 3; ++i)
    if (flags[i]) names.push_back(parts[i]);
  if (names.size() < 3)
    out.raw("learnable", JsonWriter::list(names, [](const auto& n) { return '"' + n + '"'; }));
}

void write_mixed(JsonWriter& out, const ActivationConfig& c) {
  if (!c.types.empty())
    out.raw("activation_types",
            JsonWriter::list(c.types, [](Kind k) { return '"' + std::string(name(k)) + '"'; }));
  if (c.ratios) out.raw("activation_ratios", JsonWriter::list(*c.ratios, JsonWriter::json));
  if (c.ratio_sum_tol != 1e-3) out.number("ratio_sum_tol", c.ratio_sum_tol);
  if (c.mix_layout == MixLayout::contiguous) out.text("mix_layout", "contiguous");
  if (c.mix_seed) out.integer("mix_seed", *c.mix_seed);
  if (c.seed) out.integer("seed", *c.seed);
}

}  // namespace

const char* name(ActivationKind kind) {
  for (const Alias& alias : aliases)
    if (alias.kind == kind) return alias.text;
  return "?";
}

ActivationKind parse_activation(const std::string& text) {
  if (normalised(text) == "gelu") throw Error("activation: gelu is available inside mixed only");
  return find_kind("activation", text, [](const Alias& a) { return a.kind != Kind::gelu; });
}

ActivationKind parse_mixed_part(const std::string& text) {
  return find_kind("mixed", text, [](const Alias& a) {
    return a.kind != Kind::mixed && std::string(a.text) != "phasepsann";
  });
}

ActivationConfig read_activation_config(const ConfigValue& value) {
  const ConfigReader reader(op, value, keys);
  ActivationConfig c;
  read_sine(reader, c);
  if (const auto dim = reader.find({"feature_dim"})) {
    if (std::abs(dim.number()) > Shape::max_rank) dim.fail("an axis");
    c.feature_dim = static_cast<int>(dim.integer());
  }
  if (const auto phase = reader.find({"phase_init"})) c.phase = phase.numbers();
  if (const auto flag = reader.find({"phase_trainable"})) c.phase_trainable = flag.flag();
  c.slope = read_init(reader.find({"slope_init", "relu_slope_init"}),
                      reader.find({"slope_init_std"}), reader.find({"slope_range"}));
  if (const auto flag = reader.find({"slope_trainable", "slope_learnable"}))
    c.slope_trainable = flag.flag();
  if (const auto clip = reader.find({"clip_max", "clip_at"})) {
    c.clip_max = clip.number();
    if (!(c.clip_max > 0)) clip.fail("a number above 0");
  }
  read_mixed(reader, c);
  return c;
}

ActivationConfig parse_activation_config(const std::string& json) {
  return read_activation_config(parse_json(op, json));
}

std::string to_json(const ActivationConfig& c) {
  JsonWriter out;
  write_init(out, "amplitude_init", "amp", c.amplitude);
  write_init(out, "frequency_init", "freq", c.frequency);
  write_init(out, "decay_init", "damp", c.decay);
  write_learnable(out, c);
  if (c.sine.decay != Decay::abs) out.text("decay_mode", decays[static_cast<size_t>(c.sine.decay)]);
  write_bounds(out, "amp_bounds", c.sine.amplitude_bounds);
  write_bounds(out, "freq_bounds", c.sine.frequency_bounds);
  write_bounds(out, "damp_bounds", c.sine.decay_bounds);
  if (c.feature_dim != -1) out.integer("feature_dim", c.feature_dim);
  if (c.phase != std::vector<double>{0}) out.raw("phase_init", initial(c.phase));
  if (!c.phase_trainable) out.flag("phase_trainable", false);
  write_init(out, "slope_init", "slope", c.slope);
  if (!c.slope_trainable) out.flag("slope_trainable", false);
  if (c.clip_max != 1) out.number("clip_max", c.clip_max);
  write_mixed(out, c);
  return out.str();
}

}  // namespace sinew
