#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/device.h"
#include "sinew/error.h"
#include "sinew/geo.h"
#include "sinew/nn.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

SharedConnectivity grid(int64_t h, int64_t w, int64_t k, Pattern pattern, int64_t seed = 3) {
  ConnectivityOptions options;
  options.shape = {h, w};
  options.k = k;
  options.pattern = pattern;
  options.seed = seed;
  return make_connectivity(options);
}

enum class Parts : uint8_t { all, none };  // biases, phase and keep

struct Case {
  NormKind norm;
  GeoBlocksOptions options;
  Parts parts;
  int64_t rows, k;
  Pattern pattern;
  int64_t count = 2;
};

// x, then what each block has: weights, biases, raw vectors, scale, shift, alpha.
std::vector<Tensor> inputs_of(const Case& c, int64_t n) {
  std::vector<Tensor> in{random({c.rows, n}, 1)};
  uint32_t seed = 2;
  const auto add = [&](const Shape& shape, double low, double high) {
    in.push_back(random(shape, seed++, low, high));
  };
  for (int64_t i = 0; i < c.count; ++i) {
    const double most = 1.5 / std::sqrt(static_cast<double>(c.k));
    add({n, c.k}, -most, most);
    add({n, c.k}, -most, most);
    if (c.parts == Parts::all) add({n}, -1, 1), add({n}, -1, 1);
    if (c.options.activation == BlockActivation::sine) {
      for (int j = 0; j < 3; ++j) add({n}, -1, 1);
      if (c.parts == Parts::all) add({n}, -1, 1);
    }
    if (c.norm != NormKind::none) add({n}, 0.5, 1.5);
    if (c.norm == NormKind::layer) add({n}, -1, 1);
    add({1}, 0.3, 0.9);
  }
  return in;
}

std::vector<GeoBlockOperands> blocks_of(const Case& c, const std::vector<Tensor>& in, int64_t h,
                                        int64_t w) {
  std::vector<GeoBlockOperands> blocks;
  size_t at = 1;
  for (int64_t i = 0; i < c.count; ++i) {
    GeoBlockOperands b;
    b.table = grid(h, w, c.k, c.pattern, i);
    b.weight1 = in[at++];
    b.weight2 = in[at++];
    if (c.parts == Parts::all) b.bias1 = in[at++], b.bias2 = in[at++];
    if (c.options.activation == BlockActivation::sine) {
      b.amplitude = in[at++], b.frequency = in[at++], b.decay = in[at++];
      if (c.parts == Parts::all) b.phase = in[at++];
    }
    if (c.norm != NormKind::none) b.scale = in[at++];
    if (c.norm == NormKind::layer) b.shift = in[at++];
    b.alpha = in[at++];
    if (c.parts == Parts::all && c.rows > 0) {
      std::vector<double> keep;
      for (int64_t r = 0; r < in[0].dim(0); ++r) keep.push_back((r + i) % 3 == 0 ? 0 : 1.5);
      b.keep = cast(Tensor::from(keep, {in[0].dim(0)}), in[0].dtype());
    }
    blocks.push_back(b);
  }
  return blocks;
}

// The same function of single ops.
Tensor composed(Tensor x, const std::vector<GeoBlockOperands>& blocks, const GeoBlocksOptions& o) {
  for (const GeoBlockOperands& b : blocks) {
    Tensor h = x;
    if (b.shift.defined())
      h = layer_norm(x, b.scale, b.shift, o.eps);
    else if (b.scale.defined())
      h = rms_norm(x, b.scale, o.eps);
    const Tensor z = geo_linear(h, b.weight1, b.bias1, b.table);
    const Tensor y = o.activation == BlockActivation::relu ? relu(z)
                     : o.activation == BlockActivation::tanh
                         ? tanh(z)
                         : sine(z, b.amplitude, b.frequency, b.decay, b.phase, o.sine);
    Tensor u = geo_linear(y, b.weight2, b.bias2, b.table);
    if (b.keep.defined()) u = mul(u, reshape(b.keep, {x.dim(0), 1}));
    x = add(x, mul(b.alpha, u));
  }
  return x;
}

std::vector<Tensor> values_and_gradients(const Function& f, const std::vector<Tensor>& inputs,
                                         DType dtype) {
  Tape tape;
  std::vector<Tensor> in;
  for (const Tensor& t : inputs) in.push_back(cast(t, dtype));
  for (Tensor& t : in) tape.watch(t);
  const Tensor y = f(in);
  GradientOptions options;
  options.cotangent = cast(random(y.shape(), 99), dtype);
  auto out = tape.gradients(y, in, options);
  out.push_back(y);
  return out;
}

std::vector<Case> cases(int64_t rows, int64_t k, Pattern pattern) {
  std::vector<Case> out;
  for (NormKind norm : {NormKind::none, NormKind::rms, NormKind::layer})
    for (Parts parts : {Parts::all, Parts::none}) {
      GeoBlocksOptions o;
      for (Decay decay : {Decay::abs, Decay::relu, Decay::none}) {
        o.sine.decay = decay;
        out.push_back({norm, o, parts, rows, k, pattern});
      }
      o.sine.amplitude_bounds = {0.6, 1.1};
      o.sine.frequency_bounds = {0.5, 1.0};
      o.sine.decay_bounds = {0.4, 0.9};
      out.push_back({norm, o, parts, rows, k, pattern});
      for (BlockActivation act : {BlockActivation::relu, BlockActivation::tanh}) {
        GeoBlocksOptions plain;
        plain.activation = act;
        out.push_back({norm, plain, parts, rows, k, pattern});
      }
    }
  return out;
}

}  // namespace

TEST_CASE("geo_blocks: equals the composition of ops, values and all gradients, at every level") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (const auto& [rows, k, pattern] : {std::tuple{int64_t{5}, int64_t{3}, Pattern::local},
                                           {70, 8, Pattern::hash},
                                           {33, 37, Pattern::random}})
      for (const Case& c : cases(rows, k, pattern)) {
        if (rows == 33 && c.parts == Parts::none) continue;  // for time
        const auto in = inputs_of(c, 20);
        const Function fused = [&](const std::vector<Tensor>& t) {
          return geo_blocks(t[0], blocks_of(c, t, 4, 5), c.options);
        };
        const Function single = [&](const std::vector<Tensor>& t) {
          return composed(t[0], blocks_of(c, t, 4, 5), c.options);
        };
        const auto expected = values_and_gradients(single, in, DType::f64);
        const auto exact = values_and_gradients(fused, in, DType::f64);
        const auto f32 = values_and_gradients(fused, in, DType::f32);
        const auto single_f32 = values_and_gradients(single, in, DType::f32);
        // Beside what the single ops lose: dalpha and dscale are sums of w dw over all edges.
        const double roundings = std::sqrt(static_cast<double>(rows * 20 * k)) * 4;
        for (size_t i = 0; i < expected.size(); ++i) {
          CHECK(difference(exact[i], expected[i]) < 1e-13);
          CHECK(difference(f32[i], expected[i]) <
                2 * difference(single_f32[i], expected[i]) + roundings * 0x1p-24);
        }
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("geo_blocks: gradients of first and second order") {
  for (Case c : cases(2, 3, Pattern::hash)) {
    if (c.options.activation == BlockActivation::relu) continue;  // kinks: compared above
    const bool second = c.options.activation == BlockActivation::sine && c.parts == Parts::all &&
                        c.options.sine == SineOptions();
    if (second) c.count = 1;
    const auto in = inputs_of(c, 4);
    const Function f = [&](const std::vector<Tensor>& t) {
      return geo_blocks(t[0], blocks_of(c, t, 2, 2), c.options);
    };
    CHECK(gradient_error(f, in) < 1e-6);
    if (second) CHECK(second_order_error(f, in) < 1e-6);
  }
}

TEST_CASE("geo_blocks: where values are computed again, sums over parts of many tiles") {
  Case c{NormKind::rms, {}, Parts::all, 1100, 8, Pattern::local};  // 18 tiles in 16 parts
  const auto in = inputs_of(c, 600);                               // 88 MB of planes
  const Function fused = [&](const std::vector<Tensor>& t) {
    return geo_blocks(t[0], blocks_of(c, t, 20, 30), c.options);
  };
  const Function single = [&](const std::vector<Tensor>& t) {
    return composed(t[0], blocks_of(c, t, 20, 30), c.options);
  };
  const auto expected = values_and_gradients(single, in, DType::f64);
  const auto exact = values_and_gradients(fused, in, DType::f64);
  for (size_t i = 0; i < expected.size(); ++i) CHECK(difference(exact[i], expected[i]) < 1e-12);
}

TEST_CASE("geo_blocks: the same bits for any number of threads, with and without a tape") {
  Case c{NormKind::rms, {}, Parts::all, 300, 8, Pattern::local};
  const auto in = inputs_of(c, 64);
  const Function f = [&](const std::vector<Tensor>& t) {
    return geo_blocks(t[0], blocks_of(c, t, 8, 8), c.options);
  };
  const auto run = [&](int count) {
    set_threads(count);
    std::vector<float> all;
    for (const Tensor& t : values_and_gradients(f, in, DType::f32))
      for (float v : t.host<float>()) all.push_back(v);
    return all;
  };
  const int former = threads();
  const auto one = run(1);
  for (int count : {2, 3, 7}) CHECK(run(count) == one);
  set_threads(former);
  std::vector<Tensor> f32;
  for (const Tensor& t : in) f32.push_back(cast(t, DType::f32));
  CHECK(f(f32).host<float>() == values_and_gradients(f, in, DType::f32).back().host<float>());
}

TEST_CASE("geo_blocks: no rows, no blocks, leading axes") {
  for (int64_t rows : {0, 1}) {
    Case c{NormKind::rms, {}, Parts::none, rows, 3, Pattern::local};
    const auto in = inputs_of(c, 6);
    const auto out = values_and_gradients(
        [&](const std::vector<Tensor>& t) {
          return geo_blocks(t[0], blocks_of(c, t, 2, 3), c.options);
        },
        in, DType::f32);
    CHECK(out.back().shape() == Shape({rows, 6}));
    if (rows == 0)
      for (double v : out[1].values()) CHECK(v == 0);
  }
  Case c{NormKind::layer, {}, Parts::all, 6, 3, Pattern::local};
  auto in = inputs_of(c, 6);
  in[0] = reshape(in[0], {2, 3, 6});  // one keep for each of two
  const Function fused = [&](const std::vector<Tensor>& t) {
    return geo_blocks(t[0], blocks_of(c, t, 2, 3), c.options);
  };
  auto y = fused(in);
  std::vector<Tensor> flat = in;
  flat[0] = reshape(in[0], {6, 6});
  auto blocks = blocks_of(c, in, 2, 3);
  for (GeoBlockOperands& b : blocks) {
    const auto keep = b.keep.values();
    b.keep = Tensor::from(std::vector<double>{keep[0], keep[0], keep[0], keep[1], keep[1], keep[1]},
                          {6});
  }
  CHECK(reshape(y, {6, 6}).values() == geo_blocks(flat[0], blocks, c.options).values());
  const Tensor x = random({2, 6}, 1);
  CHECK(geo_blocks(x, {}, {}).values() == x.values());
}

TEST_CASE("geo_blocks: rows that fill up a tile reach no gradient, whatever eps and biases") {
  Case c{NormKind::rms, {}, Parts::none, 5, 3, Pattern::local};
  c.options.eps = 0;
  const auto finite = [&](const std::vector<Tensor>& in) {
    const Function f = [&](const std::vector<Tensor>& t) {
      return geo_blocks(t[0], blocks_of(c, t, 2, 3), c.options);
    };
    for (const Tensor& t : values_and_gradients(f, in, DType::f32))
      for (double v : t.values())
        if (!std::isfinite(v)) return false;
    return true;
  };
  CHECK(finite(inputs_of(c, 6)));
  c = {NormKind::none, {}, Parts::all, 5, 3, Pattern::local};
  c.options.activation = BlockActivation::relu;
  auto in = inputs_of(c, 6);
  in[0] = Tensor::full({5, 6}, 1e38, DType::f64);  // cancels b1, which alone would overflow
  in[1] = in[2] = Tensor::full({6, 3}, -1, DType::f64);
  in[3] = Tensor::full({6}, 3e38, DType::f64);
  in[6] = in[7] = Tensor::zeros({6, 3}, DType::f64);
  CHECK(finite(in));
}

TEST_CASE("through_blocks: none, and blocks that are not alike") {
  TorchGenerator generator(1);
  NetworkConfig config;
  config.connectivity.shape = {4, 5};
  config.connectivity.k = 3;
  config.residual_alpha_init = 0.5;
  const auto table = make_connectivity(config.connectivity);
  const Tensor x = random_f32({7, 20}, 1);
  CHECK(through_blocks(x, {}, Mode::eval).values() == x.values());
  NetworkConfig relu = config, tanh = config, bounded = config;
  relu.activation = ActivationKind::relu;
  tanh.activation = ActivationKind::tanh;
  bounded.activation_config.sine.frequency_bounds.high = 0.3;
  NetworkConfig none = config;
  none.norm = NormKind::none;
  for (const auto& [first, second] :
       {std::pair{relu, tanh}, {config, bounded}, {config, relu}, {config, none}}) {
    std::vector<GeoBlock> blocks;
    blocks.emplace_back(first, table, 0, std::nullopt, generator);
    blocks.emplace_back(second, table, 0, std::nullopt, generator);
    const Tensor fused = through_blocks(x, blocks, Mode::eval);
    set_fusion(Fusion::off);
    CHECK(difference(fused, through_blocks(x, blocks, Mode::eval)) < 1e-6);
    set_fusion(Fusion::on);
  }
}

TEST_CASE("a network with its blocks fused is the one of single ops, masks included") {
  for (const char* activation : {"psann", "phase_psann", "relu", "tanh", "relu_sigmoid_psann"})
    for (NormKind norm : {NormKind::none, NormKind::rms, NormKind::layer}) {
      NetworkConfig config;
      config.connectivity.shape = {4, 5};
      config.activation = parse_activation(activation);
      config.norm = norm;
      config.depth = 3;
      config.drop_path_max = 0.5;
      config.residual_alpha_init = 0.5;
      TorchGenerator generator(1);
      const auto net = make_network(config, generator);
      net->to(DType::f64);
      const Tensor x = random({40, 20}, 1);
      const auto run = [&](Fusion setting) {
        set_fusion(setting);
        seed_masks(7);
        Tape tape;
        std::vector<Tensor> leaves;
        for (Parameter& p : net->parameters()) {
          tape.watch(*p.tensor);
          leaves.push_back(*p.tensor);
        }
        return tape.gradients(sum(square((*net)(x, Mode::train))), leaves);
      };
      const auto on = run(Fusion::on), off = run(Fusion::off);
      for (size_t i = 0; i < on.size(); ++i) CHECK(difference(on[i], off[i]) < 1e-12);
    }
  set_fusion(Fusion::on);
}

TEST_CASE("geo_blocks: errors") {
  const auto error = [](const Tensor& x, const auto& change) {
    Case c{NormKind::layer, {}, Parts::all, 2, 3, Pattern::local};
    auto blocks = blocks_of(c, inputs_of(c, 6), 2, 3);
    GeoBlocksOptions options;
    change(blocks, options);
    try {
      geo_blocks(x, blocks, options);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const Tensor x = random({2, 6}, 1);
  const auto none = [](auto&, auto&) {};
  CHECK(error(x, none).empty());
  CHECK(error(random({6}, 1), none) == "geo_blocks: x needs at least two axes [6]");
  CHECK(error(random({2, 5}, 1), none) == "geo_blocks: the table is not 5 x 5 (6 x 6)");
  CHECK(error(cast(x, DType::f32), none) == "geo_blocks: a parameter is not f32 (f64)");
  CHECK(error(Tensor({2, 6}, DType::i32), none) == "geo_blocks: needs f32 or f64 (i32)");
  const auto with = [&](auto change) { return error(x, change); };
  CHECK(with([](auto& b, auto&) { b[0].table = nullptr; }) == "geo_blocks: no connectivity");
  CHECK(with([](auto& b, auto&) { b[1].table = nullptr; }) == "geo_blocks: no connectivity");
  CHECK(with([](auto& b, auto&) { b[1].table = grid(2, 3, 4, Pattern::local); }) ==
        "geo_blocks: blocks differ in k (3, 4)");
  CHECK(with([](auto& b, auto&) { b[1].shift = {}; }) == "geo_blocks: blocks differ in their norm");
  CHECK(with([](auto& b, auto&) { b[0].scale = b[1].scale = {}; }) ==
        "geo_blocks: a norm has a shift and no scale");
  CHECK(with([](auto& b, auto&) { b[0].alpha = Tensor({2}, DType::f64); }) ==
        "geo_blocks: alpha [2] is not [1]");
  CHECK(with([](auto& b, auto&) {
          b[0].weight1 = Tensor({6, 4}, DType::f64);
        }) == "geo_blocks: weight1 [6, 4] is not [6, 3]");
  CHECK(with([](auto& b, auto&) {
          b[1].weight2 = Tensor({6, 4}, DType::f64);
        }) == "geo_blocks: weight2 [6, 4] is not [6, 3]");
  CHECK(with([](auto& b, auto&) { b[0].bias2 = Tensor({5}, DType::f64); }) ==
        "geo_blocks: a norm or bias [5] is not [6]");
  CHECK(with([](auto& b, auto&) { b[0].decay = {}; }) == "geo_blocks: tensor is undefined");
  CHECK(with([](auto& b, auto&) { b[0].phase = Tensor({5}, DType::f64); }) ==
        "geo_blocks: a sine parameter [5] is not [6]");
  CHECK(with([](auto& b, auto&) { b[0].keep = Tensor({3}, DType::f64); }) ==
        "geo_blocks: keep [3] is not [2]");
  CHECK(with([](auto&, auto& o) { o.eps = -1; }) == "geo_blocks: eps is negative (-1.000000)");
  CHECK(with([](auto&, auto& o) { o.sine.y_dtype = DType::f32; }) ==
        "geo_blocks: the sine has a y_dtype");
  CHECK(with([](auto&, auto& o) {
          o.sine.decay_bounds = {2, 1};
        }) == "geo_blocks: a low bound is above its high one");
}
