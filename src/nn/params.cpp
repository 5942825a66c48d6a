// Parameter counts of sparse and dense networks by formula, and the dense width that comes closest
// to a count. Formulas stand with the declarations (params.h); the two matchers follow the psann
// package: exhaustive for plain nets, bisection for residual nets (counts grow with the width, so
// the closest width is one of the two that bracket the target, and bisection visits both).
#include "sinew/params.h"

#include <numeric>

#include "sinew/error.h"

namespace sinew {
namespace {

struct Named {
  const char* name;
  int64_t value;
};

void require_positive(const char* what, std::initializer_list<Named> sizes) {
  for (const Named& size : sizes)
    if (size.value < 1)
      throw Error("parameters: " + std::string(what) + " needs positive sizes (" + size.name + " " +
                  std::to_string(size.value) + ")");
}

int64_t multiplier(const char* kind, const std::string& name, std::initializer_list<Named> known) {
  for (const Named& entry : known)
    if (name == entry.name) return entry.value;
  throw Error("parameters: unknown " + std::string(kind) + " (" + name + ")");
}

void check_target(int64_t target) {
  if (target < 1)
    throw Error("match_width: target must be positive (" + std::to_string(target) + ")");
}

WidthMatch match_at(int64_t width, int64_t parameters, int64_t target) {
  const int64_t mismatch = parameters > target ? parameters - target : target - parameters;
  return {width, parameters, mismatch, static_cast<double>(mismatch) / static_cast<double>(target)};
}

}  // namespace

int64_t sparse_layer_parameters(int64_t n_out, int64_t k, Bias bias) {
  require_positive("sparse layer", {{"n_out", n_out}, {"k", k}});
  return n_out * k + (bias == Bias::yes ? n_out : 0);
}

int64_t dense_layer_parameters(int64_t inputs, int64_t outputs, Bias bias) {
  require_positive("dense layer", {{"inputs", inputs}, {"outputs", outputs}});
  return inputs * outputs + (bias == Bias::yes ? outputs : 0);
}

int64_t norm_multiplier(const std::string& norm) {
  return multiplier("norm", norm, {{"none", 0}, {"rms", 1}, {"layer", 2}});
}

int64_t activation_multiplier(const std::string& type) {
  return multiplier("activation", type,
                    {{"relu", 0},
                     {"tanh", 0},
                     {"gelu", 0},
                     {"psann", 3},
                     {"phase_psann", 4},
                     {"relu_sigmoid_psann", 4}});
}

int64_t mixed_parameters(const std::vector<std::string>& types,
                         const std::vector<int64_t>& counts) {
  if (types.size() != counts.size())
    throw Error("mixed_parameters: lengths differ (types " + std::to_string(types.size()) +
                ", counts " + std::to_string(counts.size()) + ")");
  int64_t sum = 0;
  for (size_t t = 0; t < types.size(); ++t) sum += counts[t] * activation_multiplier(types[t]);
  return sum;
}

ParameterCount geo_net_parameters(const GeoNetSize& s) {
  require_positive("geo net", {{"depth", s.depth}});
  const int64_t block = 2 * sparse_layer_parameters(s.features, s.k, s.bias) + 1;
  const int64_t analytic =
      s.depth * block + dense_layer_parameters(s.features, s.outputs, s.head_bias);
  return {analytic, analytic + s.depth * (s.norm_parameters + s.activation_parameters)};
}

ParameterCount mlp_parameters(const DenseNetSize& s, int64_t width) {
  require_positive("mlp", {{"depth", s.depth}});
  const int64_t analytic = dense_layer_parameters(s.inputs, width, Bias::yes) +
                           (s.depth - 1) * dense_layer_parameters(width, width, Bias::yes) +
                           dense_layer_parameters(width, s.outputs, Bias::yes);
  return {analytic, analytic + s.depth * s.activation_multiplier * width};
}

ParameterCount dense_residual_parameters(const DenseNetSize& s, int64_t width) {
  require_positive("dense residual net", {{"depth", s.depth}});
  const int64_t analytic = dense_layer_parameters(s.inputs, width, Bias::yes) +
                           s.depth * (2 * dense_layer_parameters(width, width, Bias::yes) + 1) +
                           dense_layer_parameters(width, s.outputs, Bias::yes);
  return {analytic, analytic + s.depth * (s.norm_multiplier + s.activation_multiplier) * width};
}

WidthMatch match_mlp_width(int64_t target, const DenseNetSize& size) {
  std::vector<int64_t> widths(8192);
  std::iota(widths.begin(), widths.end(), 1);
  return match_mlp_width(target, size, widths);
}

WidthMatch match_mlp_width(int64_t target, const DenseNetSize& size,
                           const std::vector<int64_t>& candidates) {
  check_target(target);
  if (candidates.empty()) throw Error("match_width: no candidate widths");
  const auto at = [&](int64_t width) {
    return match_at(width, mlp_parameters(size, width).empirical, target);
  };
  WidthMatch best = at(candidates.front());
  for (int64_t width : candidates) {
    const WidthMatch m = at(width);
    if (m.mismatch < best.mismatch || (m.mismatch == best.mismatch && width < best.width)) best = m;
  }
  return best;
}

WidthMatch match_dense_residual_width(int64_t target, const DenseNetSize& size, int64_t max_width) {
  check_target(target);
  if (max_width < 1)
    throw Error("match_width: max_width must be positive (" + std::to_string(max_width) + ")");
  const auto at = [&](int64_t width) {
    return match_at(width, dense_residual_parameters(size, width).empirical, target);
  };
  WidthMatch best = at(1);
  for (int64_t low = 1, high = max_width; low <= high;) {
    const int64_t middle = low + (high - low) / 2;
    const WidthMatch m = at(middle);
    if (m.mismatch < best.mismatch) best = m;
    if (m.parameters < target)
      low = middle + 1;
    else
      high = middle - 1;
  }
  return best;
}

}  // namespace sinew
