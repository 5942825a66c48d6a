#include <doctest/doctest.h>

#include "sinew/error.h"
#include "sinew/nn.h"

using namespace sinew;

namespace {

NetworkConfig parse(const std::string& json) { return parse_network_config(json); }

// A geo_sparse network on 2 x 3 with `extra` keys.
std::string grid(const std::string& extra) { return R"({"shape": [2, 3], )" + extra + "}"; }

}  // namespace

TEST_CASE("network_config: defaults") {
  const NetworkConfig c = parse(R"({"shape": "4X5"})");
  CHECK(c.model == ModelKind::geo_sparse);
  CHECK((c.input_dim == 20 && c.output_dim == 1 && c.depth == 4));
  CHECK(c.activation == ActivationKind::psann);
  CHECK(c.norm == NormKind::rms);
  CHECK((c.drop_path_max == 0 && c.residual_alpha_init == 0));
  CHECK(c.bias == Bias::yes);
  CHECK(c.compute_mode == ComputeMode::gather);
  const ConnectivityOptions& o = c.connectivity;
  CHECK(o.shape == std::vector<int64_t>{4, 5});
  CHECK((o.k == 8 && *o.radius == 1 && o.dilation == 1));
  CHECK(o.pattern == Pattern::local);
  CHECK(o.wrap_mode == WrapMode::clamp);
  CHECK(o.offset_order == OffsetOrder::reference);
  CHECK((o.include_self && o.allow_repeats && !o.distinct));
  CHECK_FALSE(o.seed);
  CHECK_FALSE(o.offsets);
}

TEST_CASE("network_config: every key") {
  const NetworkConfig c = parse(R"({
    "model": " Geo_Sparse", "sinew": {"anything": 1}, "input_dim": 6, "output_dim": 3,
    "shape": [2.0, 3], "depth": 2, "k": 4, "pattern": "HASH", "radius": "auto",
    "offsets": [[0, 1], [-1, 0]], "wrap_mode": "Wrap", "activation_type": "rsp",
    "activation_config": {"clip_max": 2}, "norm": "Layer", "drop_path_max": 0.5,
    "residual_alpha_init": -1.5, "bias": false, "compute_mode": "Scatter", "seed": -3,
    "include_self": false, "allow_repeats": false, "offset_order": "distance", "distinct": true,
    "dilation": 2})");
  CHECK((c.input_dim == 6 && c.output_dim == 3 && c.depth == 2));
  CHECK(c.activation == ActivationKind::relu_sigmoid_psann);
  CHECK(c.activation_config.clip_max == 2);
  CHECK(c.norm == NormKind::layer);
  CHECK((c.drop_path_max == 0.5 && c.residual_alpha_init == -1.5));
  CHECK(c.bias == Bias::no);
  CHECK(c.compute_mode == ComputeMode::scatter);
  const ConnectivityOptions& o = c.connectivity;
  CHECK((o.k == 4 && !o.radius && o.dilation == 2 && *o.seed == -3));
  CHECK(o.pattern == Pattern::hash);
  CHECK(*o.offsets == std::vector<std::vector<int64_t>>{{0, 1}, {-1, 0}});
  CHECK(o.wrap_mode == WrapMode::wrap);
  CHECK(o.offset_order == OffsetOrder::distance);
  CHECK((!o.include_self && !o.allow_repeats && o.distinct));

  const NetworkConfig mlp = parse(R"({"model": "mlp", "input_dim": 5, "hidden_dim": 7,
                                      "output_dim": null, "activation_type": "tanh"})");
  CHECK(mlp.model == ModelKind::mlp);
  CHECK((mlp.input_dim == 5 && mlp.hidden_dim == 7 && mlp.output_dim == 1 && mlp.depth == 4));
  const NetworkConfig dense = parse(R"({"model": "dense_residual", "input_dim": 5, "hidden_dim": 7,
                                        "norm": "none", "residual_alpha_init": 1})");
  CHECK(dense.norm == NormKind::none);
  CHECK(dense.residual_alpha_init == 1);
  CHECK(parse(R"({"model": null, "shape": "2,3"})").input_dim == 6);
}

TEST_CASE("network_config: writing and reading back") {
  CHECK(to_json(parse(R"({"shape": "2x3"})")) ==
        R"({"model": "geo_sparse", "input_dim": 6, "output_dim": 1, "depth": 4, )"
        R"("activation_type": "psann", "activation_config": {}, "norm": "rms", )"
        R"("residual_alpha_init": 0, "drop_path_max": 0, "bias": true, "compute_mode": "gather", )"
        R"("shape": [2, 3], "k": 8, "pattern": "local", "radius": 1, "wrap_mode": "clamp", )"
        R"("include_self": true, "allow_repeats": true, "offset_order": "reference", )"
        R"("distinct": false, "dilation": 1})");
  const std::string all =
      R"({"model": "geo_sparse", "input_dim": 6, "output_dim": 3, "depth": 2, )"
      R"("activation_type": "mixed", "activation_config": {"activation_types": ["psann", "relu"]}, )"
      R"("norm": "none", "residual_alpha_init": 0.1, "drop_path_max": 0.25, "bias": false, )"
      R"("compute_mode": "scatter", "shape": [2, 3], "k": 4, "pattern": "random", "radius": "auto", )"
      R"("offsets": [[0, 1], [-1, 0]], "wrap_mode": "wrap", "seed": 9, "include_self": false, )"
      R"("allow_repeats": false, "offset_order": "distance", "distinct": true, "dilation": 2})";
  CHECK(to_json(parse(all)) == all);
  CHECK(to_json(parse(grid(R"("pattern": "hash")"))).find(R"("pattern": "hash")") !=
        std::string::npos);
  const std::string mlp =
      R"({"model": "mlp", "input_dim": 5, "output_dim": 1, "hidden_dim": 7, "depth": 4, )"
      R"("activation_type": "gelu", "activation_config": {}})";
  CHECK_THROWS_AS(parse(mlp), Error);  // gelu alone
  const std::string dense =
      R"({"model": "dense_residual", "input_dim": 5, "output_dim": 1, "hidden_dim": 7, "depth": 4, )"
      R"("activation_type": "tanh", "activation_config": {"clip_max": 2}, "norm": "rms", )"
      R"("residual_alpha_init": 0})";
  CHECK(to_json(parse(dense)) == dense);
}

TEST_CASE("network_config: errors of keys and types") {
  const std::pair<std::string, const char*> cases[] = {
      {"7", "network: needs a JSON object"},
      {R"({"model": "geo"})", "network: unknown model (geo; nearest is geo_sparse)"},
      {R"({"model": 1})", "network: model needs a text"},
      {grid(R"("dept": 3)"), "network: unknown key (dept; nearest is depth)"},
      {grid(R"("hidden_dim": 3)"), "network: geo_sparse has no hidden_dim"},
      {R"({"model": "mlp", "norm": "rms"})", "network: mlp has no norm"},
      {grid(R"("activation_config": {"clip": 1})"),
       "activation_config: unknown key (clip; nearest is clip_at)"},
      {grid(R"("activation_config": 3)"), "activation_config: needs a JSON object"},
      {grid(R"("activation_type": "tan")"), "activation: unknown type (tan; nearest is tanh)"},
      {grid(R"("activation_type": 3)"), "network: activation_type needs a text"},
      {grid(R"("depth": 1.5)"), "network: depth needs a whole number"},
      {grid(R"("depth": "4")"), "network: depth needs a whole number"},
      {grid(R"("bias": 1)"), "network: bias needs true or false"},
      {grid(R"("drop_path_max": "0")"), "network: drop_path_max needs a number"},
      {grid(R"("radius": "big")"), "network: radius needs a whole number or \"auto\""},
      {grid(R"("offsets": 1)"), "network: offsets needs a list"},
      {grid(R"("offsets": [1])"), "network: offsets needs a list"},
      {grid(R"("offsets": [[1, 0.5]])"), "network: offsets needs a whole number"},
      {grid(R"("norm": "rmsnorm")"), "norm: unknown kind (rmsnorm; nearest is rms)"},
      {grid(R"("compute_mode": "dense")"),
       "network: unknown compute_mode (dense; nearest is scatter)"},
      {grid(R"("pattern": "ring")"), "connectivity: unknown pattern (ring; local, random or hash)"},
      {grid(R"("wrap_mode": "mirror")"), "connectivity: unknown wrap mode (mirror; clamp or wrap)"},
      {grid(R"("offset_order": "far")"),
       "connectivity: unknown offset order (far; reference or distance)"},
      {grid(R"("pattern": "a\nb")"),
       "connectivity: unknown pattern (a\\x0ab; local, random or hash)"},
      {R"({"shape": "8"})", "geo_sparse: shape needs two sizes (has 1)"},
      {R"({"shape": "8x"})", "network: shape needs [H, W] or \"HxW\""},
      {R"({"shape": "8y8"})", "network: shape needs [H, W] or \"HxW\""},
      {R"({"shape": "8xx8"})", "network: shape needs [H, W] or \"HxW\""},
      {R"({"shape": 8})", "network: shape needs a list"}};
  for (const auto& row : cases) {
    CAPTURE(row.first);
    CHECK_THROWS_WITH_AS(parse(row.first), row.second, Error);
  }
}

TEST_CASE("network_config: errors of ranges") {
  const std::pair<std::string, const char*> cases[] = {
      {"{}", "geo_sparse: shape is missing (H x W)"},
      {R"({"shape": [2, 3, 4]})", "geo_sparse: shape needs two sizes (has 3)"},
      {R"({"shape": [0, 3]})", "geo_sparse: a size of shape outside [1, 2^31) (0)"},
      {R"({"shape": [65536, 32768]})", "geo_sparse: H * W is 2^31 or more (65536 x 32768)"},
      {R"({"shape": [0, 3], "depth": 0})", "geo_sparse: depth outside [1, 2^31) (0)"},
      {grid(R"("input_dim": 7, "output_dim": 0)"), "geo_sparse: input_dim is not H * W (7, 6)"},
      {grid(R"("output_dim": -1)"), "geo_sparse: output_dim outside [1, 2^31) (-1)"},
      {grid(R"("k": 0)"), "geo_sparse: k outside [1, 2^31) (0)"},
      {grid(R"("k": 500000000)"), "geo_sparse: n * k is 2^31 or more (6 * 500000000)"},
      {grid(R"("drop_path_max": 1)"), "geo_sparse: drop_path_max outside [0, 1) (1)"},
      {grid(R"("drop_path_max": -0.1)"), "geo_sparse: drop_path_max outside [0, 1) (-0.1)"},
      {R"({"model": "mlp", "hidden_dim": 3})", "mlp: input_dim outside [1, 2^31) (0)"},
      {R"({"model": "mlp", "input_dim": 3})", "mlp: hidden_dim outside [1, 2^31) (0)"},
      {R"({"model": "dense_residual", "input_dim": 3, "hidden_dim": 2147483648})",
       "dense_residual: hidden_dim outside [1, 2^31) (2147483648)"},
      {R"({"model": "mlp", "input_dim": 3, "hidden_dim": 3, "output_dim": 0})",
       "mlp: output_dim outside [1, 2^31) (0)"}};
  for (const auto& row : cases) {
    CAPTURE(row.first);
    CHECK_THROWS_WITH_AS(parse(row.first), row.second, Error);
  }
  // The same checks when a network is built from a struct, and those of the table.
  TorchGenerator generator(0);
  NetworkConfig c;
  CHECK_THROWS_WITH_AS(make_network(c, generator), "geo_sparse: shape is missing (H x W)", Error);
  c.connectivity.shape = {2, 3};
  c.connectivity.radius = -1;
  CHECK_THROWS_WITH_AS(make_network(c, generator), "connectivity: radius must not be negative (-1)",
                       Error);
}

TEST_CASE("network_config: hostile text") {
  std::string deep = R"({"shape": [2, 3], "offsets": )";
  deep += std::string(400000, '[') + std::string(400000, ']') + "}";
  CHECK_THROWS_WITH_AS(parse(deep), "network: JSON is deeper than 64 levels", Error);
  CHECK_THROWS_WITH_AS(parse(std::string((size_t{64} << 20) + 1, ' ')),
                       "network: JSON is larger than 64 MiB (67108865 bytes)", Error);
  CHECK_THROWS_AS(parse(R"({"shape": [2, 3)"), Error);
}

TEST_CASE("network_config: overlay") {
  NetworkConfig base =
      parse(grid(R"("k": 3, "norm": "layer", "activation_config": {"clip_max": 2})"));
  base.output_dim = 0;  // left open: ranges are not checked
  const NetworkConfig same = overlay_network_config("{}", base);
  CHECK(to_json(same) == to_json(base));
  const NetworkConfig c = overlay_network_config(
      R"({"k": -5, "norm": null, "activation_config": {"decay_mode": "none"}})", base);
  CHECK((c.connectivity.k == -5 && c.output_dim == 0 && c.norm == NormKind::layer));
  CHECK(c.connectivity.shape == std::vector<int64_t>{2, 3});
  CHECK(c.activation_config.clip_max == 1);  // the object as a whole
  CHECK_THROWS_WITH_AS(checked(c), "geo_sparse: output_dim outside [1, 2^31) (0)", Error);
  // The model of the base decides which keys are known, unless the text names another one.
  base.model = ModelKind::mlp;
  CHECK_THROWS_AS(overlay_network_config(R"({"k": 3})", base), Error);
  CHECK(overlay_network_config(R"({"model": "geo_sparse", "k": 4})", base).connectivity.k == 4);
}
