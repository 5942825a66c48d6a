#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "nn/modules.h"
#include "sinew/error.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

using Strings = std::vector<std::string>;

std::unique_ptr<Network> build(const std::string& json, int64_t seed = 0) {
  TorchGenerator generator(seed);
  return make_network(parse_network_config(json), generator);
}

std::string golden_json(const std::string& activation) {
  return R"({"shape": "4x4", "output_dim": 2, "depth": 2, "k": 8, "pattern": "hash", "seed": 0,
             "residual_alpha_init": 0.5, "activation_type": ")" +
         activation + "\"}";
}

Tensor named(Network& net, const std::string& name) {
  for (const NamedTensor& entry : net.state())
    if (entry.name == name) return entry.tensor;
  FAIL(name);
  return {};
}

void check_close(const Tensor& t, const std::vector<double>& expected, double tolerance) {
  const auto values = t.values();
  REQUIRE(values.size() >= expected.size());
  for (size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(values[i] - expected[i]) < tolerance);
}

Strings parameter_names(Network& net) {
  Strings out;
  for (const Parameter& p : net.parameters()) out.push_back(p.name);
  return out;
}

const char* const small_nets[] = {
    R"({"shape": [2, 3], "k": 3, "depth": 2, "pattern": "hash", "seed": 4, "output_dim": 2,
        "residual_alpha_init": 0.3, "activation_type": "phase_psann"})",
    R"({"shape": [2, 3], "k": 2, "depth": 1, "norm": "layer", "bias": false,
        "residual_alpha_init": 0.3, "activation_type": "relu_sigmoid_psann"})",
    R"({"shape": [2, 3], "k": 2, "depth": 1, "norm": "none", "residual_alpha_init": 0.3,
        "activation_type": "mixed", "activation_config": {"types": ["psann", "gelu", "tanh"]}})",
    R"({"model": "mlp", "input_dim": 6, "hidden_dim": 4, "depth": 2, "output_dim": 2})",
    R"({"model": "dense_residual", "input_dim": 6, "hidden_dim": 3, "depth": 2,
        "residual_alpha_init": 0.3, "activation_type": "psann"})"};

}  // namespace

TEST_CASE("layers: initial weights of a 16 x 16 sparse layer with k = 8") {
  ConnectivityOptions options;
  options.shape = {4, 4};
  options.k = 8;
  TorchGenerator generator(0);
  GeoLinear layer(make_connectivity(options), Bias::yes, generator);
  CHECK(layer.weight.shape() == Shape{16, 8});
  CHECK(std::abs(layer.weight.host<float>()[0] - -0.00264699) < 1e-8);
  CHECK(std::abs(layer.bias.host<float>()[0] - -0.12368477) < 1e-8);

  TorchGenerator same(0);
  const float bound = 1 / std::sqrt(8.0f);
  for (float w : layer.weight.host<float>()) CHECK(w == same.uniform(-bound, bound));
  for (float b : layer.bias.host<float>()) CHECK(b == same.uniform(-bound, bound));
  CHECK(generator.u32() == same.u32());

  GeoLinear bare(make_connectivity(options), Bias::no, generator);
  CHECK_FALSE(bare.bias.defined());
  Linear dense(9, 2, same);
  CHECK(dense.weight.shape() == Shape{2, 9});
  for (float w : dense.weight.host<float>()) CHECK(std::abs(w) <= 1.0f / 3);
}

TEST_CASE("nets: reference values with five activations") {
  const struct {
    const char* activation;
    std::vector<double> y;
    double sum_dx, norm;
  } rows[] = {
      {"psann", {0.1277623, -0.1420263, -0.2037323, -0.0856160}, -0.0893150, 1.7672598},
      {"phase_psann", {0.1277623, -0.1420263, -0.2037323, -0.0856160}, -0.0893150, 1.7692589},
      {"relu", {0.1272267, -0.2856616, -0.2228956, -0.1089334}, -0.1117435, 2.4549255},
      {"relu_sigmoid_psann",
       {0.1367226, -0.2835178, -0.1910178, -0.0839230},
       -0.1406365,
       2.2741708},
      {"tanh", {0.1264203, -0.1330422, -0.2073245, -0.0871291}, -0.0802417, 1.7554622}};
  std::vector<float> points;
  for (int i = 0; i < 32; ++i) points.push_back(static_cast<float>(-1 + i * (2.0 / 31)));
  for (const auto& row : rows) {
    CAPTURE(std::string(row.activation));
    const auto net = build(golden_json(row.activation));
    const auto table = named(*net, "blocks.1.fc1.in_index_per_out").host<int32_t>();
    CHECK(std::vector<int32_t>(table.begin(), table.begin() + 8) ==
          std::vector<int32_t>{0, 0, 0, 5, 0, 0, 1, 4});
    check_close(named(*net, "blocks.1.fc2.weight"), {0.30008838, 0.02318898, -0.23563898}, 1e-8);
    check_close(named(*net, "head.bias"), {-0.12313053, -0.02186787}, 1e-8);

    Tensor x = Tensor::from(points, {2, 16});
    Tape tape;
    tape.watch(x);
    std::vector<Tensor> wrt{x};
    for (const Parameter& p : net->parameters()) {
      tape.watch(*p.tensor);
      wrt.push_back(*p.tensor);
    }
    const Tensor y = (*net)(x);
    check_close(y, row.y, 2e-7);
    const auto gradients = tape.gradients(sum(square(y)), wrt);
    double squares = 0;
    for (size_t i = 1; i < gradients.size(); ++i)
      for (double g : gradients[i].values()) squares += g * g;
    CHECK(std::abs(std::sqrt(squares) - row.norm) < 1e-6);
    CHECK(std::abs(sum(gradients[0]).value() - row.sum_dx) < 5e-7);
  }
}

TEST_CASE("nets: gradients of every network, first and second order") {
  for (const char* json : small_nets) {
    CAPTURE(std::string(json));
    const auto net = build(json);
    const auto parameters = tensors(net->members());
    const auto inputs = inputs_of(random({3, 6}, 21), parameters);
    const Function f = function_of(*net, parameters);
    CHECK(gradient_error(f, inputs) < 1e-6);
    CHECK(second_order_error(f, inputs) < 1e-6);
  }
}

TEST_CASE("nets: an empty batch") {
  for (const char* json : small_nets) {
    const auto net = build(json);
    const Tensor y = (*net)(Tensor::zeros({0, 6}));
    CHECK(y.dim(0) == 0);
    CHECK(y.dim(1) > 0);
  }
}

TEST_CASE("nets: with alpha 0 the network is its head") {
  const auto net = build(R"({"shape": [2, 3], "k": 3})");
  const Tensor x = random_f32({5, 6}, 2);
  const Tensor expected =
      matmul(x, named(*net, "head.weight"), Trans::no, Trans::yes, named(*net, "head.bias"));
  CHECK(difference((*net)(x), expected) == 0);
  Tape tape;
  std::vector<Tensor> wrt;
  for (const Parameter& p : net->parameters()) {
    tape.watch(*p.tensor);
    wrt.push_back(*p.tensor);
  }
  const auto gradients = tape.gradients(sum(square((*net)(x))), wrt);
  const Strings names = parameter_names(*net);
  for (size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i]);
    double largest = 0;
    for (double g : gradients[i].values()) largest = std::max(largest, std::abs(g));
    const bool moves =
        names[i].find("alpha") != std::string::npos || names[i].rfind("head", 0) == 0;
    CHECK((largest > 0) == moves);
  }
}

TEST_CASE("nets: input shapes") {
  const auto net = build(R"({"shape": [2, 3], "k": 3, "residual_alpha_init": 1, "output_dim": 2})");
  const Tensor x = random_f32({4, 5, 2, 3}, 6);
  const Tensor y = (*net)(x);
  CHECK(y.shape() == Shape{4, 5, 2});
  CHECK(difference((*net)(x.view({4, 5, 6})), y) == 0);
  CHECK(difference((*net)(x.view({20, 2, 3})), y.view({20, 2})) == 0);
  CHECK(difference((*net)(x.view({20, 6})), y.view({20, 2})) == 0);
  // The grid comes first: (B, 1, n) of a 1 x n grid loses its middle axis.
  const auto row = build(R"({"shape": [1, 6], "k": 3})");
  CHECK((*row)(x.view({20, 1, 6})).shape() == Shape{20, 1});
  const auto message = [](const char* shape) {
    return std::string("geo_sparse: input needs shape (..., 2, 3) or (..., 6) (is ") + shape + ")";
  };
  CHECK_THROWS_WITH_AS((*net)(Tensor::zeros({2, 3})), message("[2, 3]").c_str(), Error);
  CHECK_THROWS_WITH_AS((*net)(Tensor::zeros({6})), message("[6]").c_str(), Error);
  CHECK_THROWS_WITH_AS((*net)(Tensor::zeros({6, 5})), message("[6, 5]").c_str(), Error);
  CHECK_THROWS_WITH_AS((*build(small_nets[3]))(Tensor::zeros({2, 5})),
                       "mlp: input needs shape (..., 6) (is [2, 5])", Error);
  CHECK_THROWS_WITH_AS((*build(small_nets[4]))(Tensor::zeros({6})),
                       "dense_residual: input needs shape (..., 6) (is [6])", Error);
}

TEST_CASE("nets: seeds of blocks, shared tables, draw order") {
  const auto net = build(R"({"shape": [3, 4], "k": 5, "depth": 2, "pattern": "hash", "seed": 7})");
  auto& geo = dynamic_cast<GeoSparseNet&>(*net);
  CHECK(geo.blocks[0].fc1.table == geo.blocks[0].fc2.table);
  const auto start = [](const GeoBlock& block) {
    const auto& table = block.fc1.table->table;
    return std::vector<int32_t>(table.begin(), table.begin() + 5);
  };
  CHECK(start(geo.blocks[0]) == std::vector<int32_t>{1, 1, 4, 4, 0});
  CHECK(start(geo.blocks[1]) == std::vector<int32_t>{0, 0, 0, 0, 4});  // seed 7 + 9973

  const auto local = build(R"({"shape": [3, 4], "k": 5, "seed": 7})");
  auto& blocks = dynamic_cast<GeoSparseNet&>(*local).blocks;
  CHECK(blocks[0].fc1.table == blocks[3].fc2.table);

  // Unseeded random tables come from the same stream as the weights, before each block's.
  const auto unseeded = build(R"({"shape": [3, 4], "k": 5, "depth": 2, "pattern": "random"})", 3);
  auto& random_blocks = dynamic_cast<GeoSparseNet&>(*unseeded).blocks;
  TorchGenerator same(3);
  ConnectivityOptions options;
  options.shape = {3, 4};
  options.k = 5;
  options.pattern = Pattern::random;
  for (GeoBlock& block : random_blocks) {
    CHECK(block.fc1.table->table == make_connectivity(options, same)->table);
    for (const GeoLinear* fc : {&block.fc1, &block.fc2}) {
      CHECK(difference(fc->weight, fan_in_uniform({12, 5}, 5, same)) == 0);
      CHECK(difference(fc->bias, fan_in_uniform({12}, 5, same)) == 0);
    }
  }
  CHECK(difference(named(*unseeded, "head.weight"), fan_in_uniform({1, 12}, 12, same)) == 0);

  // The mixed layout follows the block's seed unless mix_seed is given.
  const std::string mixed = R"({"shape": [2, 4], "k": 2, "depth": 2, "activation_type": "mixed",
                                "activation_config": {"types": ["psann", "relu"])";
  const auto index = [](const std::unique_ptr<Network>& n, size_t block) {
    const auto& act = *dynamic_cast<GeoSparseNet&>(*n).blocks[block].act;
    return dynamic_cast<const MixedActivation&>(act).parts[0].index;
  };
  const auto layout = [](int64_t seed) {
    const auto all = TorchGenerator(seed).permutation(8);
    return std::vector<int32_t>(all.begin(), all.begin() + 4);
  };
  const auto seeded = build(mixed + R"(}, "seed": 0})");
  CHECK(index(seeded, 0) == layout(0));
  CHECK(index(seeded, 1) == layout(9973));
  CHECK(index(build(mixed + R"(, "mix_seed": 2}, "seed": 0})"), 1) == layout(2));
  CHECK(index(build(mixed + "}}"), 1) == layout(TorchGenerator::unseeded));
}

TEST_CASE("nets: drop path") {
  const auto net = build(R"({"shape": [2, 3], "k": 3, "depth": 3, "drop_path_max": 0.5,
                             "residual_alpha_init": 1})");
  auto& blocks = dynamic_cast<GeoSparseNet&>(*net).blocks;
  CHECK(blocks[0].drop_path == 0);
  CHECK(blocks[1].drop_path == 0.25);
  CHECK(blocks[2].drop_path == 0.5);
  const auto one = build(R"({"shape": [2, 3], "k": 3, "depth": 1, "drop_path_max": 0.5})");
  CHECK(dynamic_cast<GeoSparseNet&>(*one).blocks[0].drop_path == 0);

  // In training each row of the last block is kept and doubled, or left out.
  const Tensor x = random_f32({200, 6}, 3);
  const auto xs = x.host<float>();
  const auto kept = blocks[2](x, Mode::eval).host<float>(),
             y = blocks[2](x, Mode::train).host<float>();
  int dropped = 0;
  for (size_t row = 0; row < 200; ++row) {
    const bool drop = y[row * 6] == xs[row * 6];
    dropped += drop;
    for (size_t i = row * 6; i < row * 6 + 6; ++i)
      CHECK(y[i] == doctest::Approx(drop ? xs[i] : 2 * kept[i] - xs[i]).epsilon(1e-5));
  }
  CHECK(std::abs(dropped - 100) < 40);  // 5.6 standard deviations
  CHECK(difference((*net)(x), (*net)(x)) == 0);
}

TEST_CASE("nets: names and order of members") {
  const auto keys = [](const char* json) {
    Strings out;
    const auto net = build(json);
    for (const NamedTensor& entry : net->state()) out.push_back(entry.name);
    return out;
  };
  CHECK(keys(R"({"shape": [2, 3], "k": 3, "depth": 1, "activation_type": "relu_sigmoid_psann",
                 "norm": "layer", "bias": false})") ==
        Strings{"blocks.0.alpha", "blocks.0.norm.weight", "blocks.0.norm.bias",
                "blocks.0.fc1.weight", "blocks.0.fc1.in_index_per_out", "blocks.0.fc1.src_index",
                "blocks.0.fc1.dst_index", "blocks.0.act._slope", "blocks.0.act.psann._A",
                "blocks.0.act.psann._f", "blocks.0.act.psann._d", "blocks.0.fc2.weight",
                "blocks.0.fc2.in_index_per_out", "blocks.0.fc2.src_index", "blocks.0.fc2.dst_index",
                "head.weight", "head.bias"});
  CHECK(keys(R"({"model": "mlp", "input_dim": 6, "hidden_dim": 4, "depth": 1})") ==
        Strings{"layers.0.fc.weight", "layers.0.fc.bias", "layers.0.act._A", "layers.0.act._f",
                "layers.0.act._d", "head.weight", "head.bias"});
  CHECK(keys(R"({"model": "dense_residual", "input_dim": 6, "hidden_dim": 4, "depth": 1,
                 "activation_type": "relu"})") ==
        Strings{"in_proj.weight", "in_proj.bias", "blocks.0.alpha", "blocks.0.norm.scale",
                "blocks.0.fc1.weight", "blocks.0.fc1.bias", "blocks.0.fc2.weight",
                "blocks.0.fc2.bias", "head.weight", "head.bias"});
}

TEST_CASE("nets: counted parameters equal the formulas") {
  for (const char* shape : {"8x8", "3x5"})
    for (int64_t k : {4, 8})
      for (const char* norm : {"rms", "layer", "none"})
        for (const char* activation :
             {"relu", "tanh", "psann", "phase_psann", "relu_sigmoid_psann"})
          for (Bias bias : {Bias::yes, Bias::no}) {
            NetworkConfig c = parse_network_config(std::string(R"({"shape": ")") + shape +
                                                   R"(", "depth": 3, "output_dim": 2})");
            c.connectivity.k = k;
            c.norm = parse_norm(norm);
            c.activation = parse_activation(activation);
            c.bias = bias;
            TorchGenerator generator(0);
            const auto net = make_network(c, generator);
            GeoNetSize size;
            size.features = c.input_dim;
            size.outputs = 2;
            size.depth = 3;
            size.k = k;
            size.bias = bias;
            size.norm_parameters = norm_multiplier(norm) * c.input_dim;
            size.activation_parameters = activation_multiplier(activation) * c.input_dim;
            CHECK(net->parameter_count() == geo_net_parameters(size).empirical);
            CHECK(net->trainable_count() == net->parameter_count());
          }
  for (const char* activation : {"relu", "psann", "phase_psann", "relu_sigmoid_psann"}) {
    DenseNetSize size;
    size.inputs = 7;
    size.outputs = 3;
    size.depth = 2;
    size.activation_multiplier = activation_multiplier(activation);
    const auto count = [&](const std::string& model, const std::string& norm) {
      return build(R"({"model": ")" + model + R"(", "input_dim": 7, "output_dim": 3, "depth": 2,
                       "hidden_dim": 5, "activation_type": ")" +
                   activation + "\"" + norm + "}")
          ->parameter_count();
    };
    CHECK(count("mlp", "") == mlp_parameters(size, 5).empirical);
    size.norm_multiplier = 2;
    CHECK(count("dense_residual", R"(, "norm": "layer")") ==
          dense_residual_parameters(size, 5).empirical);
  }
  const auto mixed = build(R"({"shape": [4, 4], "k": 8, "depth": 2, "activation_type": "mixed",
      "activation_config": {"types": ["psann", "relu", "tanh"], "ratios": [0.5, 0.25, 0.25]}})");
  CHECK(mixed->parameter_count() == 675);  // of the reference
  const auto frozen = build(R"({"shape": [4, 4], "depth": 2,
                                "activation_config": {"learnable": ["frequency"]}})");
  CHECK(frozen->parameter_count() - frozen->trainable_count() == 2 * 2 * 16);
}

TEST_CASE("nets: errors of layers and networks") {
  TorchGenerator g(0);
  CHECK_THROWS_WITH_AS(Linear(0, 3, g), "linear: sizes must be positive (n_in 0, n_out 3)", Error);
  CHECK_THROWS_WITH_AS(Linear(2, -1, g), "linear: sizes must be positive (n_in 2, n_out -1)",
                       Error);
  CHECK_THROWS_WITH_AS(fan_in_uniform({2}, 0, g), "fan_in_uniform: fan_in must be positive (0)",
                       Error);
  CHECK_THROWS_WITH_AS(GeoLinear(nullptr, Bias::yes, g), "geo_linear: the layer has no table",
                       Error);
  const auto table = make_connectivity(4, 5, 1, {0, 1, 2, 3, 0});
  CHECK_THROWS_WITH_AS(GeoBlock({}, table, 0, {}, g),
                       "geo block: the table is not square (n_in 4, n_out 5)", Error);
  CHECK_THROWS_WITH_AS(parse_norm("batch"), "norm: unknown kind (batch; nearest is layer)", Error);
  CHECK_THROWS_WITH_AS(build(small_nets[0])->to(DType::i32),
                       "network: types are f32, f64 and bf16 (i32)", Error);
}
