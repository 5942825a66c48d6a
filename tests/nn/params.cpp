// The 48 networks of the reference's published sweeps: counts, and widths of matched dense nets.
#include "sinew/params.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "sinew/error.h"
#include "sinew/random.h"

using namespace sinew;

namespace {

struct SweepRow {
  int64_t side;
  const char* activation;
  int64_t depth, k;
  int64_t analytic, empirical;
  int64_t residual_relu, residual_psann, plain_relu, plain_psann;  // widths
};

const SweepRow sweep[] = {
    // clang-format off
    {8, "relu", 4, 4, 2629, 2885, 15, 14, 22, 20},
    {8, "relu", 4, 8, 4677, 4933, 20, 20, 31, 29},
    {8, "relu", 4, 16, 8773, 9029, 29, 28, 45, 43},
    {8, "relu", 4, 32, 16965, 17221, 42, 41, 65, 63},
    {8, "relu", 8, 4, 5193, 5705, 16, 16, 24, 22},
    {8, "relu", 8, 8, 9289, 9801, 22, 21, 33, 31},
    {8, "relu", 8, 16, 17481, 17993, 31, 30, 46, 44},
    {8, "relu", 8, 32, 33865, 34377, 44, 43, 65, 63},
    {8, "relu", 12, 4, 7757, 8525, 17, 16, 25, 23},
    {8, "relu", 12, 8, 13901, 14669, 23, 22, 33, 32},
    {8, "relu", 12, 16, 26189, 26957, 31, 31, 46, 45},
    {8, "relu", 12, 32, 50765, 51533, 44, 44, 65, 63},
    {8, "psann", 4, 4, 2629, 3653, 17, 16, 25, 24},
    {8, "psann", 4, 8, 4677, 5701, 22, 22, 34, 32},
    {8, "psann", 4, 16, 8773, 9797, 30, 30, 47, 45},
    {8, "psann", 4, 32, 16965, 17989, 43, 42, 67, 65},
    {8, "psann", 8, 4, 5193, 7241, 19, 18, 27, 26},
    {8, "psann", 8, 8, 9289, 11337, 24, 23, 35, 34},
    {8, "psann", 8, 16, 17481, 19529, 32, 32, 48, 46},
    {8, "psann", 8, 32, 33865, 35913, 45, 44, 67, 65},
    {8, "psann", 12, 4, 7757, 10829, 19, 19, 28, 27},
    {8, "psann", 12, 8, 13901, 16973, 25, 24, 36, 34},
    {8, "psann", 12, 16, 26189, 29261, 33, 32, 48, 47},
    {8, "psann", 12, 32, 50765, 53837, 45, 45, 67, 65},
    {16, "relu", 4, 4, 10501, 11525, 25, 24, 32, 31},
    {16, "relu", 4, 8, 18693, 19717, 36, 35, 48, 47},
    {16, "relu", 4, 16, 35077, 36101, 52, 52, 75, 73},
    {16, "relu", 4, 32, 67845, 68869, 77, 77, 114, 113},
    {16, "relu", 8, 4, 20745, 22793, 30, 29, 41, 40},
    {16, "relu", 8, 8, 37129, 39177, 41, 41, 58, 57},
    {16, "relu", 8, 16, 69897, 71945, 59, 58, 84, 83},
    {16, "relu", 8, 32, 135433, 137481, 84, 84, 122, 121},
    {16, "relu", 12, 4, 30989, 34061, 32, 31, 45, 43},
    {16, "relu", 12, 8, 55565, 58637, 44, 43, 62, 60},
    {16, "relu", 12, 16, 104717, 107789, 61, 60, 88, 86},
    {16, "relu", 12, 32, 203021, 206093, 87, 86, 125, 124},
    {16, "psann", 4, 4, 10501, 14597, 29, 29, 39, 38},
    {16, "psann", 4, 8, 18693, 22789, 39, 39, 54, 53},
    {16, "psann", 4, 16, 35077, 39173, 55, 55, 79, 77},
    {16, "psann", 4, 32, 67845, 71941, 79, 79, 117, 116},
    {16, "psann", 8, 4, 20745, 28937, 35, 34, 48, 47},
    {16, "psann", 8, 8, 37129, 45321, 45, 45, 64, 62},
    {16, "psann", 8, 16, 69897, 78089, 62, 61, 88, 87},
    {16, "psann", 8, 32, 135433, 143625, 86, 86, 126, 124},
    {16, "psann", 12, 4, 30989, 43277, 37, 36, 52, 50},
    {16, "psann", 12, 8, 55565, 67853, 47, 47, 67, 66},
    {16, "psann", 12, 16, 104717, 117005, 64, 63, 92, 90},
    {16, "psann", 12, 32, 203021, 215309, 89, 88, 128, 127},
    // clang-format on
};

DenseNetSize dense(const SweepRow& row, const char* activation) {
  return {.inputs = row.side * row.side,
          .outputs = 1,
          .depth = row.depth,
          .norm_multiplier = norm_multiplier("rms"),
          .activation_multiplier = activation_multiplier(activation)};
}

}  // namespace

TEST_CASE("params: published counts and matched widths of 48 networks") {
  for (const SweepRow& row : sweep) {
    CAPTURE(row.side);
    CAPTURE(row.activation);
    CAPTURE(row.depth);
    CAPTURE(row.k);
    const int64_t n = row.side * row.side;
    const ParameterCount count =
        geo_net_parameters({.features = n,
                            .outputs = 1,
                            .depth = row.depth,
                            .k = row.k,
                            .norm_parameters = n * norm_multiplier("rms"),
                            .activation_parameters = n * activation_multiplier(row.activation)});
    CHECK(count.analytic == row.analytic);
    CHECK(count.empirical == row.empirical);
    const int64_t target = count.empirical;
    CHECK(match_dense_residual_width(target, dense(row, "relu")).width == row.residual_relu);
    CHECK(match_dense_residual_width(target, dense(row, "psann")).width == row.residual_psann);
    CHECK(match_mlp_width(target, dense(row, "relu")).width == row.plain_relu);
    CHECK(match_mlp_width(target, dense(row, "psann")).width == row.plain_psann);
  }
}

TEST_CASE("params: layers, with and without bias") {
  CHECK(sparse_layer_parameters(16, 8, Bias::yes) == 144);
  CHECK(sparse_layer_parameters(16, 8, Bias::no) == 128);
  CHECK(dense_layer_parameters(5, 3, Bias::yes) == 18);
  CHECK(dense_layer_parameters(5, 3, Bias::no) == 15);
}

TEST_CASE("params: a geo net without biases") {
  const ParameterCount count = geo_net_parameters({.features = 16,
                                                   .outputs = 3,
                                                   .depth = 2,
                                                   .k = 4,
                                                   .bias = Bias::no,
                                                   .head_bias = Bias::no,
                                                   .norm_parameters = 32,
                                                   .activation_parameters = 5});
  CHECK(count.analytic == 2 * (2 * 64 + 1) + 48);
  CHECK(count.empirical == count.analytic + 2 * 37);
}

TEST_CASE("params: dense nets") {
  const DenseNetSize size{
      .inputs = 10, .outputs = 2, .depth = 3, .norm_multiplier = 2, .activation_multiplier = 4};
  const ParameterCount plain = mlp_parameters(size, 7);
  CHECK(plain.analytic == 77 + 2 * 56 + 16);
  CHECK(plain.empirical == plain.analytic + 3 * 4 * 7);
  const ParameterCount residual = dense_residual_parameters(size, 7);
  CHECK(residual.analytic == 77 + 3 * (2 * 56 + 1) + 16);
  CHECK(residual.empirical == residual.analytic + 3 * 6 * 7);
}

TEST_CASE("params: multipliers") {
  const std::pair<const char*, int64_t> activations[] = {
      {"relu", 0},  {"tanh", 0},        {"gelu", 0},
      {"psann", 3}, {"phase_psann", 4}, {"relu_sigmoid_psann", 4}};
  for (const auto& [type, expected] : activations) CHECK(activation_multiplier(type) == expected);
  CHECK(norm_multiplier("none") == 0);
  CHECK(norm_multiplier("rms") == 1);
  CHECK(norm_multiplier("layer") == 2);
  CHECK(mixed_parameters({"relu", "psann", "relu_sigmoid_psann"}, {3, 3, 2}) == 17);
}

TEST_CASE("params: bisection finds the closest width") {
  TorchGenerator random(0);
  for (int trial = 0; trial < 300; ++trial) {
    const DenseNetSize size{.inputs = 1 + random.below(300),
                            .outputs = 1 + random.below(20),
                            .depth = 1 + random.below(12),
                            .norm_multiplier = random.below(3),
                            .activation_multiplier = 3 * random.below(2)};
    const int64_t target = 1 + random.below(200000), max_width = 1 + random.below(200);
    int64_t closest = INT64_MAX;
    for (int64_t width = 1; width <= max_width; ++width)
      closest =
          std::min(closest, std::abs(dense_residual_parameters(size, width).empirical - target));
    const WidthMatch match = match_dense_residual_width(target, size, max_width);
    CHECK(match.mismatch == closest);
    CHECK(match.parameters == dense_residual_parameters(size, match.width).empirical);
    CHECK(match.ratio == static_cast<double>(closest) / static_cast<double>(target));
  }
}

TEST_CASE("params: candidates, the smallest width on a tie") {
  const DenseNetSize size{.inputs = 1, .outputs = 1, .depth = 1};  // 3 w + 1
  const WidthMatch match = match_mlp_width(20, size, {9, 8, 5, 4});
  CHECK(match.width == 5);
  CHECK(match.parameters == 16);
  CHECK(match.mismatch == 4);
  CHECK(match.ratio == 0.2);
  const DenseNetSize even{.inputs = 2, .outputs = 1, .depth = 1};  // 4 w + 1: 9 or 13 from 11
  CHECK(match_mlp_width(11, even, {3, 2}).width == 2);
  CHECK(match_mlp_width(11, even).width == 2);
  CHECK(match_mlp_width(1, size).width == 1);
  CHECK(match_mlp_width(1000000, size).width == 8192);
}

TEST_CASE("params: errors") {
  CHECK_THROWS_WITH_AS(sparse_layer_parameters(0, 4, Bias::yes),
                       "parameters: sparse layer needs positive sizes (n_out 0)", Error);
  CHECK_THROWS_WITH_AS(sparse_layer_parameters(4, -1, Bias::yes),
                       "parameters: sparse layer needs positive sizes (k -1)", Error);
  CHECK_THROWS_WITH_AS(dense_layer_parameters(0, 1, Bias::no),
                       "parameters: dense layer needs positive sizes (inputs 0)", Error);
  CHECK_THROWS_WITH_AS(dense_layer_parameters(1, 0, Bias::no),
                       "parameters: dense layer needs positive sizes (outputs 0)", Error);
  CHECK_THROWS_WITH_AS(geo_net_parameters({.features = 4, .depth = 0}),
                       "parameters: geo net needs positive sizes (depth 0)", Error);
  CHECK_THROWS_WITH_AS(mlp_parameters({.inputs = 4, .depth = 0}, 3),
                       "parameters: mlp needs positive sizes (depth 0)", Error);
  CHECK_THROWS_WITH_AS(dense_residual_parameters({.inputs = 4, .depth = 0}, 3),
                       "parameters: dense residual net needs positive sizes (depth 0)", Error);
  CHECK_THROWS_WITH_AS(norm_multiplier("batch"), "parameters: unknown norm (batch)", Error);
  CHECK_THROWS_WITH_AS(activation_multiplier("mixed"), "parameters: unknown activation (mixed)",
                       Error);
  CHECK_THROWS_WITH_AS(mixed_parameters({"relu"}, {1, 2}),
                       "mixed_parameters: lengths differ (types 1, counts 2)", Error);
  const DenseNetSize size{.inputs = 4};
  CHECK_THROWS_WITH_AS(match_mlp_width(0, size), "match_width: target must be positive (0)", Error);
  CHECK_THROWS_WITH_AS(match_dense_residual_width(-1, size),
                       "match_width: target must be positive (-1)", Error);
  CHECK_THROWS_WITH_AS(match_mlp_width(5, size, {}), "match_width: no candidate widths", Error);
  CHECK_THROWS_WITH_AS(match_dense_residual_width(5, size, 0),
                       "match_width: max_width must be positive (0)", Error);
}
