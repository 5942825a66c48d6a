#include <doctest/doctest.h>

#include <cmath>

#include "sinew/error.h"
#include "sinew/nn.h"

using namespace sinew;
using Kind = ActivationKind;
using Numbers = std::vector<double>;

namespace {

ActivationConfig parse(const std::string& json) { return parse_activation_config(json); }

struct Case {
  const char* json;
  const char* message;
};

}  // namespace

TEST_CASE("activation names") {
  const std::pair<const char*, Kind> known[] = {{"psann", Kind::psann},
                                                {" Sine\t", Kind::psann},
                                                {"ResPSANN", Kind::psann},
                                                {"phase_psann", Kind::phase_psann},
                                                {"phasepsann", Kind::phase_psann},
                                                {"relu_sigmoid_psann", Kind::relu_sigmoid_psann},
                                                {"rspsann", Kind::relu_sigmoid_psann},
                                                {"rsp", Kind::relu_sigmoid_psann},
                                                {"clipped_psann", Kind::relu_sigmoid_psann},
                                                {"RELU", Kind::relu},
                                                {"tanh", Kind::tanh},
                                                {"mixed", Kind::mixed}};
  for (const auto& row : known) {
    const std::string text = row.first;
    const Kind kind = row.second;
    CAPTURE(text);
    CHECK(parse_activation(text) == kind);
    if (kind == Kind::mixed || text == "phasepsann")
      CHECK_THROWS_AS(parse_mixed_part(text), Error);
    else
      CHECK(parse_mixed_part(text) == kind);
    CHECK(parse_activation(name(kind)) == kind);
  }
  CHECK(parse_mixed_part("gelu") == Kind::gelu);
  CHECK_THROWS_WITH_AS(parse_activation("GELU"), "activation: gelu is available inside mixed only",
                       Error);
  CHECK_THROWS_WITH_AS(parse_activation("pssan"),
                       "activation: unknown type (pssan; nearest is psann)", Error);
  CHECK_THROWS_WITH_AS(parse_mixed_part("phasepsann"),
                       "mixed: unknown type (phasepsann; nearest is phase_psann)", Error);
}

TEST_CASE("activation_config: defaults") {
  const ActivationConfig c = parse("{}");
  CHECK_FALSE(c.amplitude.value);
  CHECK_FALSE(c.slope.range);
  CHECK(c.decay.std == 0);
  CHECK((c.amplitude_trainable && c.frequency_trainable && c.decay_trainable));
  CHECK((c.phase_trainable && c.slope_trainable));
  CHECK(c.sine.decay == Decay::abs);
  CHECK(c.sine.amplitude_bounds.low == -INFINITY);
  CHECK(c.phase == Numbers{0});
  CHECK(c.clip_max == 1);
  CHECK(c.feature_dim == -1);
  CHECK(c.ratio_sum_tol == 1e-3);
  CHECK(c.mix_layout == MixLayout::random);
  CHECK_FALSE(c.ratios);
}

TEST_CASE("activation_config: every key, and aliases behind their canonical keys") {
  const ActivationConfig c = parse(R"({
    "amplitude_init": [1, 2.5], "amp_init": 9, "freq_init": 3, "decay_init": null, "damp_init": 0.2,
    "amp_init_std": 0.1, "freq_init_std": 0.2, "damp_init_std": 0.3, "slope_init_std": 0.4,
    "amp_range": [1, 2], "freq_range": [3, 4], "damp_range": [6, 5], "slope_range": [7, 8],
    "decay_mode": " ReLU ", "feature_dim": 1,
    "bounds": {"amplitude": [0.1, null], "frequency": [0, 9], "decay": null},
    "freq_bounds": [null, 5.5], "damp_bounds": [0, 1],
    "phase_init": 0.4, "phase_trainable": false, "relu_slope_init": 2, "slope_learnable": false,
    "clip_at": 3, "types": ["sine", "gelu"], "ratios": [0.25, 0.75], "layout": "Contiguous",
    "mix_seed": 4, "seed": -5, "ratio_sum_tol": 0.01})");
  CHECK(*c.amplitude.value == Numbers{1, 2.5});
  CHECK(*c.frequency.value == Numbers{3});
  CHECK(*c.decay.value == Numbers{0.2});  // null is absent
  CHECK(*c.slope.value == Numbers{2});
  CHECK((c.amplitude.std == 0.1 && c.frequency.std == 0.2 && c.decay.std == 0.3));
  CHECK(c.slope.std == 0.4);
  CHECK(*c.amplitude.range == std::array<double, 2>{1, 2});
  CHECK(*c.frequency.range == std::array<double, 2>{3, 4});
  CHECK(*c.decay.range == std::array<double, 2>{6, 5});
  CHECK(*c.slope.range == std::array<double, 2>{7, 8});
  CHECK(c.sine.decay == Decay::relu);
  CHECK(c.feature_dim == 1);
  CHECK((c.sine.amplitude_bounds.low == 0.1 && c.sine.amplitude_bounds.high == INFINITY));
  CHECK((c.sine.frequency_bounds.low == -INFINITY && c.sine.frequency_bounds.high == 5.5));
  CHECK((c.sine.decay_bounds.low == 0 && c.sine.decay_bounds.high == 1));
  CHECK(c.phase == Numbers{0.4});
  CHECK_FALSE(c.phase_trainable);
  CHECK_FALSE(c.slope_trainable);
  CHECK(c.clip_max == 3);
  CHECK(c.types == std::vector<Kind>{Kind::psann, Kind::gelu});
  CHECK(*c.ratios == Numbers{0.25, 0.75});
  CHECK(c.mix_layout == MixLayout::contiguous);
  CHECK(*c.mix_seed == 4);
  CHECK(*c.seed == -5);
  CHECK(c.ratio_sum_tol == 0.01);

  const std::pair<const char*, const char*> pairs[] = {
      {R"({"relu_slope_init": 3, "slope_init": 2})", "{\"slope_init\": 2}"},
      {R"({"clip_at": 3, "clip_max": 2})", "{\"clip_max\": 2}"},
      {R"({"damp_init": 3, "decay_init": 2})", "{\"decay_init\": 2}"},
      {R"({"freq_init": 3, "frequency_init": 2})", "{\"frequency_init\": 2}"},
      {R"({"slope_learnable": false, "slope_trainable": true})", "{}"},
      {R"({"types": ["relu"], "activation_types": ["tanh"]})",
       "{\"activation_types\": [\"tanh\"]}"},
      {R"({"ratios": [1], "activation_ratios": [0.5, 0.5]})",
       "{\"activation_ratios\": [0.5, 0.5]}"},
      {R"({"layout": "contiguous", "mix_layout": "random"})", "{}"}};
  for (const auto& [json, written] : pairs) CHECK(to_json(parse(json)) == written);
}

TEST_CASE("activation_config: learnable and trainable") {
  const auto flags = [](const std::string& json) {
    const ActivationConfig c = parse(json);
    return std::vector<bool>{c.amplitude_trainable, c.frequency_trainable, c.decay_trainable};
  };
  using Flags = std::vector<bool>;
  CHECK(flags(R"({"learnable": "all"})") == Flags{true, true, true});
  CHECK(flags(R"({"learnable": "*"})") == Flags{true, true, true});
  CHECK(flags(R"({"learnable": "none"})") == Flags{false, false, false});
  CHECK(flags(R"({"learnable": ["all"]})") == Flags{true, true, true});
  CHECK(flags(R"({"learnable": []})") == Flags{false, false, false});
  CHECK(flags(R"({"learnable": "Frequency"})") == Flags{false, true, false});
  CHECK(flags(R"({"learnable": ["decay", "amplitude"]})") == Flags{true, false, true});
  CHECK(flags(R"({"trainable": true})") == Flags{true, true, true});
  CHECK(flags(R"({"trainable": false})") == Flags{false, false, false});
  CHECK(flags(R"({"trainable": false, "learnable": "decay"})") == Flags{false, false, true});
}

TEST_CASE("activation_config: writing and reading back") {
  for (const char* json :
       {"{}", R"({"amplitude_init": [0.1, 1e-07]})", R"({"amp_range": [1, 2]})",
        R"({"freq_init_std": 0.25})", R"({"learnable": ["amplitude", "decay"]})",
        R"({"learnable": []})", R"({"decay_mode": "none"})", R"({"amp_bounds": [null, 2.5]})",
        R"({"freq_bounds": [0.1, null]})", R"({"damp_bounds": [0.1, 0.30000000000000004]})",
        R"({"feature_dim": 2})", R"({"phase_init": [0, 1]})", R"({"phase_init": 0.25})",
        R"({"phase_trainable": false})", R"({"slope_init": 3})", R"({"slope_trainable": false})",
        R"({"clip_max": 0.5})", R"({"activation_types": ["psann", "gelu"]})",
        R"({"ratio_sum_tol": 0.1, "mix_layout": "contiguous", "mix_seed": -1, "seed": 2})"})
    CHECK(to_json(parse(json)) == std::string(json));
}

TEST_CASE("activation_config: errors") {
  const Case cases[] = {
      {"[]", "activation_config: needs a JSON object"},
      {R"({"amp_inti": 1})", "activation_config: unknown key (amp_inti; nearest is amp_init)"},
      {R"({"deca\ny": 1})", "activation_config: unknown key (deca\\x0ay; nearest is decay_init)"},
      {R"({"amp_init": "1"})", "activation_config: amp_init needs a number"},
      {R"({"amp_init": [1, null]})", "activation_config: amp_init needs a number"},
      {R"({"amp_init_std": true})", "activation_config: amp_init_std needs a number"},
      {R"({"amp_range": 1})", "activation_config: amp_range needs a list of two"},
      {R"({"amp_range": [1, 2, 3]})", "activation_config: amp_range needs a list of two"},
      {R"({"amp_range": [1, null]})", "activation_config: amp_range needs two numbers"},
      {R"({"learnable": 1})", "activation_config: learnable needs a list"},
      {R"({"learnable": "amp"})",
       "activation_config: unknown learnable (amp; nearest is amplitude)"},
      {R"({"learnable": ["frequenzy"]})",
       "activation_config: unknown learnable (frequenzy; nearest is frequency)"},
      {R"({"trainable": "yes"})", "activation_config: trainable needs true or false"},
      {R"({"decay_mode": "ab"})", "activation_config: unknown decay_mode (ab; nearest is abs)"},
      {R"({"decay_mode": 1})", "activation_config: decay_mode needs a text"},
      {R"({"bounds": [0, 1]})", "activation_config: bounds: needs a JSON object"},
      {R"({"bounds": {"amp": [0, 1]}})",
       "activation_config: bounds: unknown key (amp; nearest is amplitude)"},
      {R"({"amp_bounds": [2, 1]})", "activation_config: amp_bounds needs low <= high"},
      {R"({"feature_dim": 1.5})", "activation_config: feature_dim needs a whole number"},
      {R"({"feature_dim": 1e99})", "activation_config: feature_dim needs an axis"},
      {R"({"clip_max": 0})", "activation_config: clip_max needs a number above 0"},
      {R"({"types": "relu"})", "activation_config: types needs a list"},
      {R"({"types": ["mixed"]})", "mixed: unknown type (mixed; nearest is sine)"},
      {R"({"ratios": 1})", "activation_config: ratios needs a list"},
      {R"({"layout": "contigous"})",
       "activation_config: unknown mix_layout (contigous; nearest is contiguous)"},
      {R"({"mix_seed": 1.5})", "activation_config: mix_seed needs a whole number"},
      {R"({"seed": 18446744073709551615})",
       "activation_config: number above 2^63 (18446744073709551615)"}};
  for (const Case& c : cases) CHECK_THROWS_WITH_AS(parse(c.json), c.message, Error);
}

TEST_CASE("activation_config: hostile text") {
  const auto nested = [](size_t levels) {
    return R"({"amp_init": )" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  CHECK_THROWS_WITH_AS(parse(nested(63)), "activation_config: amp_init needs a number", Error);
  for (size_t levels : {size_t{64}, size_t{400000}})
    CHECK_THROWS_WITH_AS(parse(nested(levels)), "activation_config: JSON is deeper than 64 levels",
                         Error);
  CHECK_THROWS_WITH_AS(parse(std::string((size_t{64} << 20) + 1, ' ')),
                       "activation_config: JSON is larger than 64 MiB (67108865 bytes)", Error);
  const std::string many = '"' + std::string(100000, 'x');
  for (const char* text :
       {"", "{", R"({"amp_init": 1,})", "{\"a\": \"\xff\"}", "nul", "{} {}", many.c_str()}) {
    std::string message;
    try {
      parse(text);
    } catch (const Error& e) {
      message = e.what();
    }
    CHECK(message.rfind("activation_config: no valid JSON (", 0) == 0);
    CHECK(message.size() < 300);
  }
}
