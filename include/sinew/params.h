// Parameter counts by formula, and dense networks of matched size.
//
// Analytic counts follow the published formula, which leaves out norms and activations. Empirical
// counts include them: what a network really holds. Sizes below 1 throw.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sinew {

enum class Bias : uint8_t { no, yes };

// n_out * k weights, or inputs * outputs, plus one bias per output.
int64_t sparse_layer_parameters(int64_t n_out, int64_t k, Bias bias);
int64_t dense_layer_parameters(int64_t inputs, int64_t outputs, Bias bias);

// Parameters per feature. Norms: none 0, rms 1, layer 2. Activations: relu, tanh, gelu 0, psann 3,
// phase_psann 4, relu_sigmoid_psann 4. Other names throw.
int64_t norm_multiplier(const std::string& norm);
int64_t activation_multiplier(const std::string& type);
// A mixed activation: the sum of counts[t] * multiplier of types[t].
int64_t mixed_parameters(const std::vector<std::string>& types, const std::vector<int64_t>& counts);

struct ParameterCount {
  int64_t analytic = 0;
  int64_t empirical = 0;
};

// D blocks of two sparse layers n -> n and one alpha, then a dense head n -> outputs.
struct GeoNetSize {
  int64_t features = 0;  // n = H * W
  int64_t outputs = 1;
  int64_t depth = 4;  // D
  int64_t k = 8;
  Bias bias = Bias::yes;
  Bias head_bias = Bias::yes;
  int64_t norm_parameters = 0;        // of one block
  int64_t activation_parameters = 0;  // of one block
};
// D (2 (n k + n [bias]) + 1) + n outputs + outputs [head bias]; empirical: + D (norm + activation).
ParameterCount geo_net_parameters(const GeoNetSize& size);

struct DenseNetSize {
  int64_t inputs = 0;
  int64_t outputs = 1;
  int64_t depth = 4;            // D hidden layers, or residual blocks
  int64_t norm_multiplier = 0;  // residual nets only
  int64_t activation_multiplier = 0;
};
// Plain net of width w: in w + w + (D-1) (w^2 + w) + w out + out; empirical: + D m w.
ParameterCount mlp_parameters(const DenseNetSize& size, int64_t width);
// Residual net: in w + w + D (2 (w^2 + w) + 1) + w out + out; empirical: + D (norm + m) w.
ParameterCount dense_residual_parameters(const DenseNetSize& size, int64_t width);

struct WidthMatch {
  int64_t width = 0;
  int64_t parameters = 0;  // empirical count at this width
  int64_t mismatch = 0;    // |parameters - target|
  double ratio = 0;        // mismatch / target
};

// The candidate width whose empirical count is closest to target, the smallest one on a tie.
// Without candidates: 1 .. 8192. Throws if target < 1 or the list is empty.
WidthMatch match_mlp_width(int64_t target, const DenseNetSize& size);
WidthMatch match_mlp_width(int64_t target, const DenseNetSize& size,
                           const std::vector<int64_t>& candidates);
// The same for residual nets of width 1 .. max_width, by bisection. On a tie the width that the
// bisection meets first.
WidthMatch match_dense_residual_width(int64_t target, const DenseNetSize& size,
                                      int64_t max_width = 4096);

}  // namespace sinew
