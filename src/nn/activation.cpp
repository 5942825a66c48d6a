// Activations with parameters per feature: psann, phase_psann, relu_sigmoid_psann (formulas in
// nn.h), and the plain ones. Raw values of positive parameters: ln(max(e^v - 1, eps)) in f32 steps
// as PyTorch takes them; from v = 88 on, where e^v leaves f32, v itself (softplus is the identity
// there). Normal draws: Box-Muller on two uniforms of the TorchGenerator.
#include "nn/activation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sinew/error.h"

namespace sinew {
namespace {

double normal(TorchGenerator& generator) {
  const double u = 1.0 - generator.uniform(0, 1);  // (0, 1]
  const double angle = 2 * std::numbers::pi * generator.uniform(0, 1);
  return std::sqrt(-2 * std::log(u)) * std::cos(angle);
}

std::vector<double> finite(const char* key, std::vector<double> values) {
  for (double v : values)
    if (!std::isfinite(v)) throw Error("activation: " + std::string(key) + " is not finite");
  return values;
}

// One value per feature from one or n values.
std::vector<double> spread(const char* key, std::vector<double> values, int64_t n) {
  const auto count = static_cast<size_t>(n);
  if (values.size() != 1 && values.size() != count)
    throw Error("activation: " + std::string(key) + " needs 1 or " + std::to_string(n) +
                " values (has " + std::to_string(values.size()) + ")");
  if (values.size() == 1) values.assign(count, values[0]);
  return values;
}

std::vector<double> draw(const char* key, const VectorInit& init, double fallback, int64_t n,
                         TorchGenerator& generator) {
  auto values = spread(key, init.value.value_or(std::vector<double>{fallback}), n);
  if (init.std > 0) {
    for (double& v : values) v += init.std * normal(generator);
  } else if (init.range) {
    const auto [low, high] = std::minmax((*init.range)[0], (*init.range)[1]);
    values.assign(values.size(),
                  generator.uniform(static_cast<float>(low), static_cast<float>(high)));
  }
  return finite(key, std::move(values));
}

float raw(double value) {
  constexpr float eps = 1.1920929e-07f;
  const float v = std::max(static_cast<float>(value), eps);
  if (v > 88) return v;
  const auto grown = static_cast<float>(std::expm1(static_cast<double>(v)));
  return static_cast<float>(std::log(static_cast<double>(std::max(grown, eps))));
}

Tensor raw_vector(const char* key, const VectorInit& init, double fallback, int64_t n,
                  TorchGenerator& generator) {
  std::vector<float> out;
  for (double v : draw(key, init, fallback, n, generator)) out.push_back(raw(v));
  return Tensor::from(out, {n});
}

ActivationConfig on_last_axis(ActivationConfig config) {
  config.feature_dim = -1;
  return config;
}

void check_features(int64_t features) {
  if (features < 1)
    throw Error("activation: features must be positive (" + std::to_string(features) + ")");
}

}  // namespace

SineActivation::SineActivation(int64_t features, const ActivationConfig& c,
                               TorchGenerator& generator)
    : config(c) {
  check_features(features);
  amplitude = raw_vector("amplitude_init", c.amplitude, 1.0, features, generator);
  frequency = raw_vector("frequency_init", c.frequency, 1.0, features, generator);
  decay = raw_vector("decay_init", c.decay, 0.1, features, generator);
}

Tensor SineActivation::operator()(const Tensor& z, std::optional<DType> y_dtype) const {
  SineOptions options = config.sine;
  options.y_dtype = y_dtype;
  return along(z, config.feature_dim, [&](const Tensor& t) {
    return sinew::sine(t, amplitude, frequency, decay, phase, options);
  });
}

void SineActivation::members(const std::string& prefix, Members& out) {
  out.push_back({prefix + "_A", &amplitude, nullptr, config.amplitude_trainable});
  out.push_back({prefix + "_f", &frequency, nullptr, config.frequency_trainable});
  out.push_back({prefix + "_d", &decay, nullptr, config.decay_trainable});
  if (phase.defined()) out.push_back({prefix + "_phi", &phase, nullptr, config.phase_trainable});
}

PhaseSineActivation::PhaseSineActivation(int64_t features, const ActivationConfig& c,
                                         TorchGenerator& generator)
    : SineActivation(features, c, generator) {
  const auto values = finite("phase_init", spread("phase_init", c.phase, features));
  phase = Tensor::from(std::vector<float>(values.begin(), values.end()), {features});
}

ReluSigmoidSine::ReluSigmoidSine(int64_t features, const ActivationConfig& c,
                                 TorchGenerator& generator)
    : slope(
          (check_features(features), raw_vector("slope_init", c.slope, 1.0, features, generator))),
      sine(features, on_last_axis(c), generator),
      feature_dim(c.feature_dim) {
  if (!(c.clip_max > 0))
    throw Error("activation: clip_max must be positive (" + std::to_string(c.clip_max) + ")");
}

Tensor ReluSigmoidSine::operator()(const Tensor& z, std::optional<DType> y_dtype) const {
  return along(z, feature_dim, [&](const Tensor& t) {
    const Tensor p = relu(t);
    const Tensor u = mul(affine(softplus(slope), 1, 1e-6), p);
    const Tensor m = mul(u, sigmoid(add(u, sine(p))));
    return cast(clamp(m, 0, sine.config.clip_max), y_dtype.value_or(z.dtype()));
  });
}

void ReluSigmoidSine::members(const std::string& prefix, Members& out) {
  out.push_back({prefix + "_slope", &slope, nullptr, sine.config.slope_trainable});
  sine.members(prefix + "psann.", out);
}

Tensor PlainActivation::operator()(const Tensor& z, std::optional<DType> y_dtype) const {
  const DType dtype = y_dtype.value_or(z.dtype());
  switch (kind) {
    case ActivationKind::relu: return cast(relu(z), dtype);
    case ActivationKind::tanh: return cast(sinew::tanh(z), dtype);
    case ActivationKind::gelu: return cast(gelu(z), dtype);
    default: throw Error("activation: " + std::string(name(kind)) + " has parameters");
  }
}

std::unique_ptr<Activation> make_part(ActivationKind kind, int64_t features,
                                      const ActivationConfig& config, TorchGenerator& generator) {
  switch (kind) {
    case ActivationKind::psann:
      return std::make_unique<SineActivation>(features, config, generator);
    case ActivationKind::phase_psann:
      return std::make_unique<PhaseSineActivation>(features, config, generator);
    case ActivationKind::relu_sigmoid_psann:
      return std::make_unique<ReluSigmoidSine>(features, config, generator);
    default: check_features(features); return std::make_unique<PlainActivation>(kind);
  }
}

std::unique_ptr<Activation> make_activation(ActivationKind kind, int64_t features,
                                            const ActivationConfig& config,
                                            TorchGenerator& generator,
                                            std::optional<int64_t> block_seed) {
  if (kind == ActivationKind::gelu) throw Error("activation: gelu is available inside mixed only");
  if (kind != ActivationKind::mixed) return make_part(kind, features, config, generator);
  check_features(features);
  const auto seed = config.mix_seed ? config.mix_seed : block_seed ? block_seed : config.seed;
  return std::make_unique<MixedActivation>(features, config, generator, seed);
}

}  // namespace sinew
