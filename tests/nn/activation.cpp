#include <doctest/doctest.h>

#include <cmath>

#include "nn/modules.h"
#include "sinew/error.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

using Kind = ActivationKind;
using Ints = std::vector<int32_t>;

std::unique_ptr<Activation> build(Kind kind, int64_t n, const std::string& json = "{}",
                                  std::optional<int64_t> block_seed = {}) {
  TorchGenerator generator(0);
  return make_activation(kind, n, parse_activation_config(json), generator, block_seed);
}

std::vector<float> at_points(Activation& act) {  // z = 0, 1, -2, 0.5
  return act(Tensor::from(std::vector<float>{0, 1, -2, 0.5f}, {4, 1})).host<float>();
}

float raw_amplitude(const std::string& init) {
  auto act = build(Kind::psann, 1, R"({"amplitude_init": )" + init + "}");
  return members_of(*act)[0].tensor->item<float>();
}

const MixedActivation& as_mixed(const std::unique_ptr<Activation>& act) {
  return dynamic_cast<const MixedActivation&>(*act);
}

std::vector<Ints> layout(int64_t n, const std::string& json, std::optional<int64_t> seed = {}) {
  const auto act = build(Kind::mixed, n, json, seed);
  std::vector<Ints> out;
  for (const auto& part : as_mixed(act).parts) out.push_back(part.index);
  return out;
}

std::vector<size_t> counts(int64_t n, const std::string& json) {
  std::vector<size_t> out;
  for (const Ints& index : layout(n, json)) out.push_back(index.size());
  return out;
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double soft(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }

}  // namespace

TEST_CASE("activation: reference values at z = 0, 1, -2, 0.5") {
  const struct {
    Kind kind;
    const char* json;
    float y[4];
  } rows[] = {
      {Kind::psann, "{}", {0, 0.76139492f, -0.74446911f, 0.45604411f}},
      {Kind::phase_psann,
       R"({"phase_init": 1.25})",
       {0.94898462f, 0.70402920f, -0.55807978f, 0.93599629f}},
      {Kind::relu_sigmoid_psann, "{}", {0, 0.85338521f, 0, 0.36116493f}},
      {Kind::relu, "{}", {0, 1, 0, 0.5f}},
      {Kind::tanh, "{}", {0, 0.76159416f, -0.96402758f, 0.46211716f}},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(name(row.kind)));
    const auto y = at_points(*build(row.kind, 1, row.json));
    for (size_t i = 0; i < 4; ++i) CHECK(std::abs(y[i] - row.y[i]) < 1.2e-7f);
  }
}

TEST_CASE("activation: raw initial values") {
  CHECK(raw_amplitude("1.0") == doctest::Approx(0.54132485).epsilon(1e-7));
  CHECK(raw_amplitude("0.1") == doctest::Approx(-2.2521684).epsilon(1e-7));
  CHECK(raw_amplitude("0.01") == doctest::Approx(-4.6001663).epsilon(1e-7));
  CHECK(raw_amplitude("0.7") == doctest::Approx(0.01365899).epsilon(1e-6));
  for (const char* small : {"0", "-3", "1e-30"})  // the floor
    CHECK(raw_amplitude(small) == doctest::Approx(-15.942385).epsilon(1e-7));
  for (float large : {30.f, 87.9f, 88.5f, 100.f, 1e30f}) {  // softplus gives the value back
    CAPTURE(large);
    CHECK(raw_amplitude(std::to_string(large)) == doctest::Approx(large).epsilon(1e-7));
  }
}

TEST_CASE("activation: initial values per feature, and members") {
  auto act = build(Kind::phase_psann, 3, R"({"frequency_init": [1, 0.1, 0.7], "amp_init": [0.01],
                                             "phase_init": [1, 2, 3], "phase_trainable": false,
                                             "learnable": "decay"})");
  const Members m = members_of(*act);
  const std::vector<std::string> names{"_A", "_f", "_d", "_phi"};
  const bool trainable[] = {false, false, true, false};
  REQUIRE(m.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(m[i].name == names[i]);
    CHECK(m[i].trainable == trainable[i]);
    CHECK(m[i].tensor->shape() == Shape{3});
  }
  CHECK(m[0].tensor->host<float>()[2] == doctest::Approx(-4.6001663));
  CHECK(m[1].tensor->host<float>()[1] == doctest::Approx(-2.2521684));
  CHECK(m[3].tensor->host<float>() == std::vector<float>{1, 2, 3});

  auto clipped = build(Kind::relu_sigmoid_psann, 2, R"({"slope_trainable": false})");
  const Members c = members_of(*clipped);
  REQUIRE(c.size() == 4);
  CHECK(c[0].name == "_slope");
  CHECK_FALSE(c[0].trainable);
  CHECK(c[1].name == "psann._A");
  CHECK(c[3].name == "psann._d");
  CHECK(c[3].trainable);
  CHECK(members_of(*build(Kind::relu, 2)).empty());
}

TEST_CASE("activation: random initial values") {
  TorchGenerator generator(5), same(5);
  const auto config = parse_activation_config(R"({"amp_range": [3, 2], "decay_init": 0.2})");
  SineActivation act(4, config, generator);
  const float drawn = same.uniform(2, 3);
  for (float raw : act.amplitude.host<float>())
    CHECK(raw == doctest::Approx(std::log(std::expm1(drawn))).epsilon(1e-6));
  CHECK(generator.u32() == same.u32());  // one draw for the whole layer

  const auto normal = parse_activation_config(
      R"({"freq_init": 5, "freq_init_std": 0.5, "freq_range": [100, 101]})");
  const int64_t n = 20000;
  SineActivation many(n, normal, generator);
  double sum = 0, squares = 0;
  for (float raw : many.frequency.host<float>()) {
    const double v = soft(raw) - 5;
    sum += v;
    squares += v * v;
  }
  const double count = static_cast<double>(n);
  CHECK(std::abs(sum / count) < 5 * 0.5 / std::sqrt(count));  // five standard errors
  CHECK(std::abs(squares / count - 0.25) < 5 * 0.25 * std::sqrt(2 / count));
  // Without an initial value the mean is the default, 1.
  const auto centred = parse_activation_config(R"({"amp_init_std": 0.001})");
  for (float raw : SineActivation(10, centred, generator).amplitude.host<float>())
    CHECK(std::abs(soft(raw) - 1) < 0.01);
}

TEST_CASE("activation: gradients of every kind, first and second order") {
  const std::pair<Kind, const char*> rows[] = {
      {Kind::psann, R"({"decay_init": 0.4})"},
      {Kind::psann, R"({"decay_mode": "relu", "bounds": {"amplitude": [0.5, null]}})"},
      {Kind::psann, R"({"decay_mode": "none", "freq_bounds": [null, 0.5]})"},
      {Kind::phase_psann, R"({"phase_init": [0.4, -1, 2, 0.1, 0.7]})"},
      {Kind::relu_sigmoid_psann, R"({"slope_init": 0.7})"},
      {Kind::relu, "{}"},
      {Kind::tanh, "{}"},
      {Kind::mixed, R"({"types": ["phase_psann", "gelu", "tanh", "relu_sigmoid_psann"]})"}};
  for (const auto& row : rows) {
    const Kind kind = row.first;
    const std::string json = row.second;
    CAPTURE(std::string(name(kind)));
    CAPTURE(json);
    auto act = build(kind, 5, json);
    const auto parameters = tensors(members_of(*act));
    const auto inputs = inputs_of(random({3, 5}, 11), parameters);
    const Function f = function_of(*act, parameters);
    CHECK(gradient_error(f, inputs) < 1e-6);
    CHECK(second_order_error(f, inputs) < 1e-6);
  }
}

// The closed form of the reference, at points on both sides of every kink.
TEST_CASE("activation: gradients of relu_sigmoid_psann by formula") {
  TorchGenerator generator(0);
  ReluSigmoidSine act(1, parse_activation_config(R"({"clip_max": 0.8, "decay_init": 0.3,
                          "frequency_init": 1.7, "slope_init": 1.2, "amp_bounds": [null, 2]})"),
                      generator);
  Members m = members_of(act);
  for (Member& member : m) *member.tensor = cast(*member.tensor, DType::f64);
  const std::vector<double> zs{-1, 0, 0.1, 0.4, 0.7, 3};
  Tensor z = Tensor::from(zs, {6, 1});
  const Tensor q = random({6, 1}, 3);
  Tape tape;
  tape.watch(z);
  std::vector<Tensor> wrt{z};
  for (Member& member : m) {
    tape.watch(*member.tensor);
    wrt.push_back(*member.tensor);
  }
  const auto got = tape.gradients(sum(mul(act(z), q)), wrt);

  const auto raw = [&](size_t i) { return m[i].tensor->item<double>(); };
  const double s = soft(raw(0)) + 1e-6, a = soft(raw(1)), f = soft(raw(2)) + 1e-6, d = soft(raw(3));
  double dslope = 0, da = 0, df = 0, dd = 0;
  for (size_t i = 0; i < zs.size(); ++i) {
    const double p = std::max(zs[i], 0.0), u = s * p, e = std::exp(-d * p);
    const double sine = std::sin(f * p), cosine = std::cos(f * p), inner = a * e * sine;
    const double t = logistic(u + inner), y = u * t, h = t * (1 - t);
    const double w = y >= 0 && y <= 0.8 ? q.host<double>()[i] : 0;
    const double du = w * (t + u * h), dp = w * u * h;
    const double dz = zs[i] > 0 ? du * s + dp * a * e * (f * cosine - d * sine) : 0;
    CHECK(got[0].host<double>()[i] == doctest::Approx(dz).epsilon(1e-13));
    dslope += logistic(raw(0)) * du * p;
    da += logistic(raw(1)) * dp * e * sine;
    df += logistic(raw(2)) * dp * a * e * cosine * p;
    dd -= logistic(raw(3)) * dp * a * p * e * sine;
  }
  CHECK(got[1].item<double>() == doctest::Approx(dslope).epsilon(1e-13));
  CHECK(got[2].item<double>() == doctest::Approx(da).epsilon(1e-13));
  CHECK(got[3].item<double>() == doctest::Approx(df).epsilon(1e-13));
  CHECK(got[4].item<double>() == doctest::Approx(dd).epsilon(1e-13));
}

TEST_CASE("activation: gelu at 0 and relu's derivative at 0") {
  auto act = build(Kind::mixed, 2, R"({"types": ["gelu", "relu"], "layout": "contiguous"})");
  Tensor z = Tensor::from(std::vector<double>{1.5, 0}, {1, 2});
  Tape tape;
  tape.watch(z);
  const Tensor y = (*act)(z);
  CHECK(y.host<double>()[0] == doctest::Approx(0.75 * (1 + std::erf(1.5 / std::sqrt(2.0)))));
  CHECK(tape.gradients(sum(y), {z})[0].host<double>()[1] == 0);
}

TEST_CASE("mixed: shares of the features") {
  const std::string three = R"({"types": ["psann", "relu", "tanh"])";
  CHECK(counts(8, three + "}") == std::vector<size_t>{3, 3, 2});
  CHECK(counts(10, three + R"(, "ratios": [0.25, 0.25, 0.5]})") == std::vector<size_t>{3, 2, 5});
  CHECK(counts(2, three + "}") == std::vector<size_t>{1, 1});  // the third is not built
  CHECK(counts(4, three + R"(, "ratios": [0.5, 0, 0.5]})") == std::vector<size_t>{2, 2});
  CHECK(counts(4, three + R"(, "ratios": [0.3, 0.3, 0.3], "ratio_sum_tol": 0.2})") ==
        std::vector<size_t>{2, 1, 1});
  // A last share of 0 stays 0 although the others round to a sum above 1.
  CHECK(counts(7, R"({"types": ["psann", "relu", "tanh", "gelu"],
                      "ratios": [0.3333333333333334, 0.3333333333333333, 0.3333333333333334, 0]})") ==
        std::vector<size_t>{3, 2, 2});
  auto act = build(Kind::mixed, 2, R"({"types": ["psann", "phase_psann", "tanh"]})");
  std::vector<std::string> names;
  for (const Member& m : members_of(*act))
    if (m.tensor) names.push_back(m.name);
  CHECK(names == std::vector<std::string>{"acts.psann._A", "acts.psann._f", "acts.psann._d",
                                          "acts.phase_psann._A", "acts.phase_psann._f",
                                          "acts.phase_psann._d", "acts.phase_psann._phi"});
}

TEST_CASE("mixed: layouts") {
  const std::string two = R"({"types": ["psann", "relu"])";
  const std::vector<Ints> seed_0{{4, 0, 7, 3}, {2, 5, 1, 6}}, unseeded{{6, 0, 7, 3}, {5, 2, 1, 4}};
  CHECK(layout(8, two + "}") == unseeded);
  CHECK(layout(8, two + R"(, "mix_seed": 0})") == seed_0);
  CHECK(layout(8, two + R"(, "seed": 0})") == seed_0);
  CHECK(layout(8, two + "}", 0) == seed_0);
  CHECK(layout(8, two + R"(, "mix_seed": 0})", 5) == seed_0);  // mix_seed wins,
  CHECK(layout(8, two + R"(, "seed": 5})", 0) == seed_0);      // then the block's
  CHECK(layout(8, two + R"(, "seed": 5})", 5) == layout(8, two + R"(, "mix_seed": 5})"));
  CHECK(layout(8, two + R"(, "layout": "contiguous", "mix_seed": 3})") ==
        std::vector<Ints>{{0, 1, 2, 3}, {4, 5, 6, 7}});
}

TEST_CASE("mixed: each feature goes through its activation") {
  auto act = build(Kind::mixed, 7, R"({"types": ["psann", "relu", "tanh"], "freq_init": 1.3})", 3);
  const Tensor z = random({2, 3, 7}, 8);
  for (Tensor* p : tensors(members_of(*act))) *p = cast(*p, DType::f64);
  const auto y = (*act)(z).host<double>();
  const auto zs = z.host<double>();
  for (const auto& part : as_mixed(act).parts)
    for (size_t i = 0; i < part.index.size(); ++i)
      for (size_t row = 0; row < 6; ++row) {
        const size_t at = row * 7 + static_cast<size_t>(part.index[i]);
        Tensor one = Tensor::full({1, static_cast<int64_t>(part.index.size())}, zs[at], DType::f64);
        CHECK(y[at] == doctest::Approx((*part.act)(one).host<double>()[i]).epsilon(1e-15));
      }
  const Tensor flat = random({7}, 8);
  CHECK(difference((*act)(flat), (*act)(flat.view({1, 7})).view({7})) == 0);
}

TEST_CASE("activation: features on another axis") {
  const std::pair<Kind, const char*> rows[] = {
      {Kind::psann, R"({"freq_init": [1, 2, 3])"},
      {Kind::phase_psann, R"({"phase_init": [1, 2, 3])"},
      {Kind::relu_sigmoid_psann, R"({"slope_init": [1, 2, 3])"},
      {Kind::mixed, R"({"types": ["psann", "relu"])"}};
  const Tensor z = random_f32({2, 3, 4}, 9);
  for (const auto& row : rows) {
    const Kind kind = row.first;
    const std::string json = row.second;
    CAPTURE(std::string(name(kind)));
    const auto last = build(kind, 3, json + "}");
    const Tensor expected = permute((*last)(permute(z, {0, 2, 1})), {0, 2, 1});
    for (const char* dim : {"1", "-2"}) {
      const auto act = build(kind, 3, json + std::string(R"(, "feature_dim": )") + dim + "}");
      CHECK(difference((*act)(z), expected) == 0);
    }
  }
}

TEST_CASE("activation: errors") {
  const auto throws = [](Kind kind, const char* json, const char* message) {
    CHECK_THROWS_WITH_AS(build(kind, 4, json), message, Error);
  };
  throws(Kind::psann, R"({"amplitude_init": [1, 2]})",
         "activation: amplitude_init needs 1 or 4 values (has 2)");
  throws(Kind::psann, R"({"decay_init": []})",
         "activation: decay_init needs 1 or 4 values (has 0)");
  throws(Kind::phase_psann, R"({"phase_init": [1, 2, 3, 4, 5]})",
         "activation: phase_init needs 1 or 4 values (has 5)");
  throws(Kind::relu_sigmoid_psann, R"({"slope_init": [1, 2]})",
         "activation: slope_init needs 1 or 4 values (has 2)");
  throws(Kind::gelu, "{}", "activation: gelu is available inside mixed only");
  CHECK_THROWS_WITH_AS(build(Kind::psann, 0), "activation: features must be positive (0)", Error);
  CHECK_THROWS_WITH_AS(build(Kind::relu, -1), "activation: features must be positive (-1)", Error);
  const PlainActivation wrong(Kind::psann);
  CHECK_THROWS_WITH_AS(wrong(Tensor::zeros({1, 1})), "activation: psann has parameters", Error);
  TorchGenerator generator(0);
  ActivationConfig config;
  config.frequency.value = std::vector<double>{NAN};
  CHECK_THROWS_WITH_AS(make_activation(Kind::psann, 4, config, generator),
                       "activation: frequency_init is not finite", Error);
  config = {};
  config.amplitude.std = INFINITY;
  CHECK_THROWS_WITH_AS(make_activation(Kind::psann, 4, config, generator),
                       "activation: amplitude_init is not finite", Error);
  config = {};
  config.phase = {INFINITY};
  CHECK_THROWS_WITH_AS(make_activation(Kind::phase_psann, 4, config, generator),
                       "activation: phase_init is not finite", Error);
  config = {};
  config.clip_max = 0;
  CHECK_THROWS_WITH_AS(make_activation(Kind::relu_sigmoid_psann, 4, config, generator),
                       "activation: clip_max must be positive (0.000000)", Error);

  throws(Kind::mixed, "{}", "mixed: activation_types is missing or empty");
  throws(Kind::mixed, R"({"types": ["relu", "sine", " RESPSANN "]})",
         "mixed: a type is given twice (psann)");
  throws(Kind::mixed, R"({"types": ["relu", "tanh"], "ratios": [1]})",
         "mixed: lengths differ (types 2, ratios 1)");
  throws(Kind::mixed, R"({"types": ["relu", "tanh"], "ratios": [1.5, -0.5]})",
         "mixed: a ratio is negative (-0.500000)");
  throws(Kind::mixed, R"({"types": ["relu", "tanh"], "ratios": [0, 0]})",
         "mixed: all ratios are zero");
  throws(Kind::mixed, R"({"types": ["relu", "tanh"], "ratios": [0.5, 0.502]})",
         "mixed: ratios do not sum to 1 (1.002000)");
  config = {};
  config.types = {Kind::relu};
  config.ratios = std::vector<double>{INFINITY};
  CHECK_THROWS_WITH_AS(make_activation(Kind::mixed, 4, config, generator),
                       "mixed: a ratio is not finite", Error);
  const auto act = build(Kind::mixed, 4, R"({"types": ["relu", "tanh"]})");
  CHECK_THROWS_WITH_AS((*act)(Tensor::zeros({2, 5})), "mixed: axis -1 of [2, 5] needs 4 features",
                       Error);
}
