// The fused residual blocks on the GPU against the CPU in f64: norms, activations, options, sizes,
// tables, and how a network comes to them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda/any_order.h"
#include "cuda/gradient.h"
#include "cuda/parity.h"
#include "geo/geo_blocks.h"
#include "sinew/error.h"
#include "sinew/geo.h"
#include "sinew/nn.h"
#include "sinew/ops.h"
#include "sinew/step.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

enum class Parts : uint8_t { all, none };  // biases, phase and keep

struct Case {
  BlockNorm norm = BlockNorm::rms;
  GeoBlocksOptions options = {};
  Parts parts = Parts::all;
  std::vector<SharedConnectivity> tables;  // one per block
  Shape x;
};

SharedConnectivity grid(int64_t h, int64_t w, int64_t k, Pattern pattern, int64_t seed = 3) {
  ConnectivityOptions options;
  options.shape = {h, w};
  options.k = k;
  options.pattern = pattern;
  options.seed = seed;
  return make_connectivity(options);
}

// x, then what each block has: weights, biases, raw vectors, scale, shift, alpha.
std::vector<Input> inputs_of(const Case& c) {
  std::vector<Input> in{{c.x}};
  const auto add = [&](const Shape& shape, double low, double high) {
    in.push_back({shape, Role::parameter, low, high});
  };
  for (const SharedConnectivity& table : c.tables) {
    const int64_t n = table->n_out;
    for (int j = 0; j < 2; ++j) add({n, table->k}, -0.6, 0.6);
    for (int j = 0; c.parts == Parts::all && j < 2; ++j) add({n}, -1, 1);
    if (c.options.activation == BlockActivation::sine)
      for (int j = 0; j < (c.parts == Parts::all ? 4 : 3); ++j) add({n}, -1, 1);
    if (c.norm != BlockNorm::none) add({n}, 0.5, 1.5);
    if (c.norm == BlockNorm::layer) add({n}, -1, 1);
    add({1}, 0.3, 0.9);
  }
  return in;
}

std::vector<GeoBlockOperands> blocks_of(const Case& c, const std::vector<Tensor>& in) {
  std::vector<GeoBlockOperands> blocks;
  size_t at = 1;
  for (const SharedConnectivity& table : c.tables) {
    GeoBlockOperands b;
    b.table = table;
    b.weight1 = in[at++];
    b.weight2 = in[at++];
    if (c.parts == Parts::all) b.bias1 = in[at++], b.bias2 = in[at++];
    if (c.options.activation == BlockActivation::sine) {
      b.amplitude = in[at++], b.frequency = in[at++], b.decay = in[at++];
      if (c.parts == Parts::all) b.phase = in[at++];
    }
    if (c.norm != BlockNorm::none) b.scale = in[at++];
    if (c.norm == BlockNorm::layer) b.shift = in[at++];
    b.alpha = in[at++];
    if (c.parts == Parts::all) {
      std::vector<float> keep;
      for (int64_t r = 0; r < c.x[0]; ++r) keep.push_back((r + blocks.size()) % 3 == 1 ? 0 : 1.5f);
      b.keep = cast(Tensor::from(keep, {c.x[0]}), b.alpha.dtype());
    }
    blocks.push_back(b);
  }
  return blocks;
}

Parity parity(const Case& c) {
  Parity p;
  p.inputs = inputs_of(c);
  const auto count = static_cast<double>(c.tables.size());
  // dalpha sums over all elements. A block: norm 6, the sine 26 (tests/cuda/sine.cpp), products,
  // biases and the residual 8; as many again on the way back. To bf16 its output and its gradient.
  p.length = std::max(c.x.numel(), c.tables[0]->k);
  p.ulps = 80 * count;
  p.roundings = 2 * count;
  p.f = [c](const std::vector<Tensor>& in) {
    return geo_blocks(in[0], blocks_of(c, in), c.options);
  };
  return p;
}

GeoBlocksOptions with(BlockActivation activation, Decay decay = Decay::abs) {
  GeoBlocksOptions options;
  options.activation = activation;
  options.sine.decay = decay;
  return options;
}

std::vector<GeoBlocksOptions> activations() {
  GeoBlocksOptions bounded = with(BlockActivation::sine);
  bounded.sine.amplitude_bounds = {0.6, 1.1};
  bounded.sine.frequency_bounds = {0.5, 1.0};
  bounded.sine.decay_bounds = {0.4, 0.9};
  return {with(BlockActivation::sine),
          with(BlockActivation::sine, Decay::relu),
          with(BlockActivation::sine, Decay::none),
          bounded,
          with(BlockActivation::relu),
          with(BlockActivation::tanh)};
}

// y and all gradients on the GPU.
std::vector<float> bits(const Case& c, DType dtype) {
  Tape tape;
  std::vector<Tensor> leaves;
  uint32_t seed = 1;
  for (const Input& input : inputs_of(c)) {
    TorchGenerator generator(seed++);
    std::vector<float> values(static_cast<size_t>(input.shape.numel()));
    for (float& v : values)
      v = generator.uniform(static_cast<float>(input.low), static_cast<float>(input.high));
    leaves.push_back(Tensor::from(values, input.shape));
    tape.watch(leaves.back());
  }
  std::vector<Tensor> in = leaves;
  in[0] = cast(in[0], dtype);
  const Tensor y = geo_blocks(in[0], blocks_of(c, in), c.options);
  GradientOptions options;
  options.cotangent = y.detach();
  std::vector<float> all = cast(y, DType::f32).host<float>();
  for (const Tensor& g : tape.gradients(y, leaves, options))
    for (const float v : g.host<float>()) all.push_back(v);
  return all;
}

// Gradients of a network with masks, then its output.
struct Trained {
  std::shared_ptr<Network> net;
  DType dtype;
  Step step{[this](const std::vector<Tensor>& in) { return run(in); }};

  Trained(const NetworkConfig& config, DType type) : dtype(type) {
    TorchGenerator generator(1);
    net = make_network(config, generator);
  }
  std::vector<Tensor> run(const std::vector<Tensor>& in) {
    Tape tape;
    std::vector<Tensor> leaves;
    for (Parameter& p : net->parameters()) {
      tape.watch(*p.tensor);
      leaves.push_back(*p.tensor);
    }
    const Tensor y = cast((*net)(cast(in[0], dtype), Mode::train), DType::f32);
    std::vector<Tensor> out = tape.gradients(sum(square(y)), leaves);
    out.push_back(y.detach());
    return out;
  }
  static std::vector<std::vector<float>> values(const std::vector<Tensor>& tensors) {
    std::vector<std::vector<float>> out;
    for (const Tensor& t : tensors) out.push_back(t.host<float>());
    return out;
  }
  std::vector<std::vector<float>> step_values(const Tensor& x) { return values(step({x})); }
  std::vector<std::vector<float>> eager_values(const Tensor& x) { return values(run({x})); }
};

NetworkConfig network(const std::string& activation) {
  NetworkConfig config;
  config.connectivity.shape = {3, 4};
  config.activation = parse_activation(activation);
  config.depth = 3;
  config.drop_path_max = 0.5;
  config.residual_alpha_init = 0.5;
  return config;
}

Tensor drawn(const Shape& shape) {
  TorchGenerator generator(5);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = generator.uniform(-1, 1);
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("cuda geo_blocks: shared memory, tiles and slices follow from the shapes") {
  const int64_t most = 227 * 1024;
  CHECK(geo_blocks_fit(4096, 8, most));  // 128 KiB and 132 x 360 KB
  CHECK(!geo_blocks_fit(4096, 9, most));
  CHECK(geo_blocks_fit(7200, 1, most));
  CHECK(!geo_blocks_fit(7201, 1, most));
  CHECK(!geo_blocks_fit(4096, 8, 100 * 1024));
  CHECK(geo_blocks_width(2112, 1568) == 8);
  CHECK(geo_blocks_width(2111, 1568) == 4);
  CHECK(geo_blocks_width(2112, 1569) == 4);
  CHECK(geo_blocks_slices(0, 64, 8) == 0);
  CHECK(geo_blocks_slices(131, 64, 8) == 131);
  CHECK(geo_blocks_slices(528, 64, 8) == 132);
  CHECK(geo_blocks_slices(1024, 64, 8) == 256);
  CHECK(geo_blocks_slices(100000, 64, 8) == 528);
  CHECK(geo_blocks_slices(100000, 4096, 8) == 139);  // as many as fit
}

TEST_CASE("cuda geo_blocks: every norm and activation, with and without biases, phase and keep") {
  const auto table = grid(3, 3, 4, Pattern::hash);
  for (const BlockNorm norm : {BlockNorm::none, BlockNorm::rms, BlockNorm::layer})
    for (const GeoBlocksOptions& options : activations())
      for (const Parts parts : {Parts::all, Parts::none})
        check_parity("norm " + std::to_string(static_cast<int>(norm)) + ", activation " +
                         std::to_string(static_cast<int>(options.activation)),
                     parity({norm, options, parts, {table}, {5, 9}}));
}

TEST_CASE("cuda geo_blocks: sizes and tables") {
  const auto check = [](const std::string& name, const SharedConnectivity& table, const Shape& x,
                        BlockNorm norm = BlockNorm::layer) {
    check_parity(name + " " + x.str(), parity({norm, {}, Parts::all, {table}, x}));
  };
  for (const int64_t rows : {0, 1, 31, 33})
    check("local", grid(5, 7, 8, Pattern::local), {rows, 35});
  check("one edge", grid(1, 33, 1, Pattern::local), {4, 33});
  check("many edges", grid(4, 8, 40, Pattern::random), {3, 32});
  check("one cell", grid(1, 1, 3, Pattern::local), {6, 1}, BlockNorm::rms);
  check("three axes", grid(2, 3, 3, Pattern::hash), {3, 5, 6});
  check("more features than threads", grid(33, 32, 3, Pattern::local), {5, 33 * 32});
  GeoBlocksOptions no_eps;  // 1 / sqrt(0) in the tile's rows beyond the last
  no_eps.eps = 0;
  check_parity(
      "eps 0",
      parity({BlockNorm::rms, no_eps, Parts::none, {grid(2, 3, 3, Pattern::hash)}, {5, 6}}));
  std::vector<int32_t> hub;  // all read input 5
  for (int32_t o = 0; o < 600; ++o) hub.insert(hub.end(), {5, o});
  const auto table = make_connectivity(600, 600, 2, hub);
  {
    const OnDevice cuda(Device::cuda);
    CHECK(geo_tables_on_gpu(*table, GeoDirection::reverse).stride == 1);
  }
  check("hub", table, {2, 600});
}

TEST_CASE("cuda geo_blocks: several blocks") {
  std::vector<SharedConnectivity> tables;
  for (int64_t i = 0; i < 9; ++i) tables.push_back(grid(2, 3, 3, Pattern::hash, i));
  check_parity("nine", parity({BlockNorm::rms, {}, Parts::none, tables, {5, 6}}));
  tables.resize(2);
  for (const BlockNorm norm : {BlockNorm::none, BlockNorm::layer})
    check_parity("two", parity({norm, {}, Parts::all, tables, {5, 6}}));
}

TEST_CASE("cuda geo_blocks: several tiles in a slice, of 4 rows and of 8") {
  for (const int64_t rows : {535, 2114})
    check_parity(
        "tiles",
        parity({BlockNorm::layer, {}, Parts::all, {grid(1, 3, 2, Pattern::local)}, {rows, 3}}));
}

TEST_CASE("cuda geo_blocks: second order, by the composed form") {
  const Case c{BlockNorm::layer, {}, Parts::all, {grid(2, 2, 2, Pattern::hash)}, {3, 4}};
  for (const size_t which : {0, 1, 5}) {
    Parity p = parity(c);
    p.ulps *= 3;
    p.roundings *= 3;
    p.f = [f = p.f, which](const std::vector<Tensor>& in) { return first_gradient(f, in, which); };
    check_parity("gradient", p);
  }
}

TEST_CASE("cuda geo_blocks: the same bits in any order of threads") {
  const std::vector<SharedConnectivity> tables{grid(3, 4, 3, Pattern::hash),
                                               grid(3, 4, 3, Pattern::local)};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Case c{BlockNorm::layer, {}, Parts::all, tables, {7, 12}};
    check_any_order([&] { return bits(c, dtype); });
  }
  check_any_order([&] {  // several tiles in a slice
    return bits({BlockNorm::rms, {}, Parts::all, {grid(1, 2, 2, Pattern::local)}, {535, 2}},
                DType::f32);
  });
}

TEST_CASE("cuda geo_blocks: a network's steps, eager and replayed, fused and by single ops") {
  const OnDevice cuda(Device::cuda);
  const Tensor x = drawn({6, 12});
  for (const char* activation : {"phase_psann", "relu"})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      seed_masks(7);
      Trained by_step(network(activation), dtype);
      Trained eager(network(activation), dtype);
      std::vector<std::vector<std::vector<float>>> steps, calls;  // a step's call 2 records
      for (int call = 0; call < 4; ++call) steps.push_back(by_step.step_values(x));
      seed_masks(7);
      for (int call = 0; call < 4; ++call) calls.push_back(eager.eager_values(x));
      CHECK(steps == calls);
      CHECK(steps[2] != steps[3]);  // other masks
    }
}

TEST_CASE("cuda geo_blocks: a network's fused blocks are those of single ops, in fewer kernels") {
  const OnDevice cuda(Device::cuda);
  const Tensor x = drawn({6, 12});
  for (const char* activation : {"psann", "relu"})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Trained fused(network(activation), dtype), single(network(activation), dtype);
      seed_masks(7);
      fused.step_values(x);
      const auto got = fused.step_values(x);
      set_fusion(Fusion::off);
      seed_masks(7);
      single.step_values(x);
      const auto expected = single.step_values(x);
      set_fusion(Fusion::on);
      CHECK(fused.step.recorded() < single.step.recorded());
      // as in parity(), of three blocks and for the errors of both
      double allowed = 2 * (3 * 80 + 4 * std::sqrt(72)) * 0x1p-24;
      if (dtype == DType::bf16) allowed += 2 * 3 * 2 * 0x1p-8;
      for (size_t t = 0; t < got.size(); ++t) {
        double largest = 0, worst = 0;
        for (size_t i = 0; i < got[t].size(); ++i) {
          largest = std::max<double>(largest, std::abs(expected[t][i]));
          worst = std::max<double>(worst, std::abs(got[t][i] - expected[t][i]));
        }
        CAPTURE(t);
        CHECK(worst <= allowed * largest);
      }
    }
}

TEST_CASE("cuda geo_blocks: errors") {
  const OnDevice cuda(Device::cuda);
  CHECK(geo_blocks_fit(4096, 8));
  CHECK(!geo_blocks_fit(8000, 1));
  std::vector<int32_t> self;
  for (int32_t i = 0; i < 8000; ++i) self.push_back(i);
  GeoBlockOperands b;
  b.table = make_connectivity(8000, 8000, 1, self);
  b.alpha = Tensor::zeros({1});
  b.weight1 = b.weight2 = Tensor::zeros({8000, 1});
  CHECK_THROWS_WITH_AS(geo_blocks(Tensor::zeros({1, 8000}), {b}, with(BlockActivation::relu)),
                       "geo_blocks: the gpu has no room for a tile of these blocks (n 8000, k 1)",
                       Error);
}
