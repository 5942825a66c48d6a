// Layers, activations and networks as plain structs, and their JSON configuration.
//
// With the same TorchGenerator seed a network starts from the numbers of the PyTorch reference
// (exceptions are named below). Parameters are f32 when built; `to` casts a network to f64.
// A module's call is const and records on the active tape; parameters are found by `members`.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sinew/geo.h"
#include "sinew/ops.h"
#include "sinew/parameters.h"
#include "sinew/params.h"
#include "sinew/random.h"
#include "sinew/tensor.h"

namespace sinew {

enum class Mode : uint8_t { eval, train };  // drop path acts in train only

// What a module owns under one name: a parameter, or the index table of a sparse layer.
struct Member {
  std::string name;
  Tensor* tensor = nullptr;
  SharedConnectivity* table = nullptr;
  bool trainable = true;
  struct MixedActivation* mixed = nullptr;
};
using Members = std::vector<Member>;

// --- layers ---------------------------------------------------------------------------------
// f32 values uniform in +-1/sqrt(fan_in), row by row: the default of PyTorch's dense layers,
// Kaiming uniform with slope sqrt(5) (He et al. 2015), for weight and bias alike.
Tensor fan_in_uniform(const Shape& shape, int64_t fan_in, TorchGenerator& generator);

// y = x W^T + b; x (..., n_in), weight (n_out, n_in), bias (n_out). Draws weight, then bias.
struct Linear {
  Linear(int64_t n_in, int64_t n_out, TorchGenerator& generator);  // throws for sizes below 1
  Tensor operator()(const Tensor& x, std::optional<DType> y_dtype = {}) const;  // as in matmul
  void members(const std::string& prefix, Members& out);                        // weight, bias
  Tensor weight, bias;
};

// y[o] = bias[o] + sum_j weight[o, j] x[table[o, j]] (geo_linear in geo.h); weight (n_out, k), bias
// (n_out) or undefined. Draws weight, then bias, with fan_in = k.
struct GeoLinear {
  GeoLinear(SharedConnectivity table, Bias with_bias, TorchGenerator& generator);
  Tensor operator()(const Tensor& x, std::optional<DType> y_dtype = {}) const;
  void members(const std::string& prefix, Members& out);  // weight, bias, table
  Tensor weight, bias;
  SharedConnectivity table;
};

// rms: rms_norm with eps 1e-6 and `scale` of ones; layer: layer_norm with eps 1e-5, `weight` of
// ones and `bias` of zeros; none: x itself.
enum class NormKind : uint8_t { rms, layer, none };
const char* name(NormKind kind);
NormKind parse_norm(const std::string& text);  // "rms", "layer", "none"
struct Norm {
  Norm(NormKind kind, int64_t features);
  Tensor operator()(const Tensor& x) const;
  void members(const std::string& prefix, Members& out);
  double eps() const;
  NormKind kind;
  Tensor scale, bias;
};

// --- activations ----------------------------------------------------------------------------
enum class ActivationKind : uint8_t {
  psann,
  phase_psann,
  relu_sigmoid_psann,
  relu,
  tanh,
  gelu,
  mixed
};
const char* name(ActivationKind kind);
// Trimmed, any case: psann (sine, respsann), phase_psann (phasepsann), relu_sigmoid_psann
// (rspsann, rsp, clipped_psann), relu, tanh, mixed. gelu exists only as a part of mixed.
ActivationKind parse_activation(const std::string& text);
// The parts of mixed: psann, phase_psann, relu_sigmoid_psann, relu, tanh, gelu, with the aliases
// above but phasepsann.
ActivationKind parse_mixed_part(const std::string& text);

// Initial values of one vector of positive parameters: one number or one per feature; or one
// uniform draw in `range` for all features; or, with std > 0, a normal draw per feature around
// `value`. Each is floored at 1.1920929e-07, the smallest start (so that 0 and less give that).
struct VectorInit {
  std::optional<std::vector<double>> value;  // none: the default below
  std::optional<std::array<double, 2>> range;
  double std = 0;
};
enum class MixLayout : uint8_t { contiguous, random };

struct ActivationConfig {
  VectorInit amplitude, frequency, decay;  // defaults 1, 1, 0.1
  bool amplitude_trainable = true, frequency_trainable = true, decay_trainable = true;
  SineOptions sine;                 // decay mode and bounds
  int feature_dim = -1;             // the axis of z that holds the features
  std::vector<double> phase = {0};  // phase_psann
  bool phase_trainable = true;
  VectorInit slope;  // relu_sigmoid_psann, default 1
  bool slope_trainable = true;
  double clip_max = 1;
  // mixed: the parts, their shares of the features (none: equal; |sum - 1| <= ratio_sum_tol)
  std::vector<ActivationKind> types;
  std::optional<std::vector<double>> ratios;
  double ratio_sum_tol = 1e-3;
  MixLayout mix_layout = MixLayout::random;
  std::optional<int64_t> mix_seed, seed;
};

// From a JSON object with the keys below; unknown keys and values out of range throw. null means
// absent. Keys and aliases; the first one present counts:
//   amplitude_init amp_init, frequency_init freq_init, decay_init damp_init: number or list
//   amp_init_std, freq_init_std, damp_init_std, slope_init_std: number; used if > 0, before ranges
//   amp_range, freq_range, damp_range, slope_range: [low, high]
//   learnable: "all", "*", "none", a name or a list of amplitude, frequency, decay;
//   trainable: true (all) or false (none)
//   decay_mode: "abs", "relu", "none"; feature_dim: axis
//   bounds: {"amplitude": [low, high], "frequency": .., "decay": ..}, null on an open side;
//   amp_bounds, freq_bounds, damp_bounds override single ones
//   phase_init: number or list; phase_trainable: true or false
//   slope_init relu_slope_init: number or list; slope_trainable slope_learnable: true or false
//   clip_max clip_at: number > 0
//   activation_types types, activation_ratios ratios: lists; ratio_sum_tol: number
//   mix_layout layout: "random", "contiguous"; mix_seed; seed
ActivationConfig parse_activation_config(const std::string& json);
std::string to_json(const ActivationConfig& config);  // only what differs from the defaults

// y = act(z), elementwise with parameters per feature. Between activations of type x a layer makes
// z as z_dtype(x), f32 for bf16 (where one step at 30 is 0.125, too much for the phase of a sine),
// and the activation returns y as `y_dtype`, by default z's type.
struct Activation {
  virtual ~Activation() = default;
  virtual Tensor operator()(const Tensor& z, std::optional<DType> y_dtype = {}) const = 0;
  virtual DType z_dtype(DType x) const { return x == DType::bf16 ? DType::f32 : x; }
  virtual void members(const std::string& prefix, Members& out) = 0;
};

// psann and phase_psann: `sine` of ops.h; raw parameters _A, _f, _d and _phi, where the raw value
// of v is ln(e^v - 1), so that softplus gives v back.
struct SineActivation : Activation {
  SineActivation(int64_t features, const ActivationConfig& config, TorchGenerator& generator);
  Tensor operator()(const Tensor& z, std::optional<DType> y_dtype = {}) const override;
  void members(const std::string& prefix, Members& out) override;
  Tensor amplitude, frequency, decay, phase;  // phase undefined for psann
  ActivationConfig config;
};
struct PhaseSineActivation : SineActivation {
  PhaseSineActivation(int64_t features, const ActivationConfig& config, TorchGenerator& generator);
};

// p = max(z, 0), u = (softplus(slope) + 1e-6) p, m = u sigmoid(u + psann(p)), y = clamp(m, 0,
// clip_max). Parameters _slope, psann._A, psann._f, psann._d.
struct ReluSigmoidSine : Activation {
  ReluSigmoidSine(int64_t features, const ActivationConfig& config, TorchGenerator& generator);
  Tensor operator()(const Tensor& z, std::optional<DType> y_dtype = {}) const override;
  void members(const std::string& prefix, Members& out) override;
  Tensor slope;
  SineActivation sine;
  int feature_dim;
};

struct PlainActivation : Activation {  // relu, tanh, gelu
  explicit PlainActivation(ActivationKind kind) : kind(kind) {}
  Tensor operator()(const Tensor& z, std::optional<DType> y_dtype = {}) const override;
  DType z_dtype(DType x) const override { return x; }
  void members(const std::string&, Members&) override {}
  ActivationKind kind;
};

// Features are shared out among activations, by `ratios` with the largest remainder. Layout
// contiguous: ranges in list order; random: a permutation of the generator of `seed`
// (TorchGenerator::unseeded if none), of which each part takes the next ones. Parts without
// features are left out. Parameters acts.<part>.*.
struct MixedActivation : Activation {
  struct Part {
    ActivationKind kind;
    std::vector<int32_t> index;  // features, in the order in which `act` sees them
    SharedConnectivity select;   // picks them
    std::unique_ptr<Activation> act;
  };
  MixedActivation(int64_t features, const ActivationConfig& config, TorchGenerator& generator,
                  std::optional<int64_t> seed);
  Tensor operator()(const Tensor& z, std::optional<DType> y_dtype = {}) const override;
  void members(const std::string& prefix, Members& out) override;
  // Another layout: the features of each part. Throws, and changes nothing, unless the sizes are
  // those of `parts` and every feature occurs once.
  void set_index_sets(const std::vector<std::vector<int32_t>>& sets);
  std::vector<Part> parts;
  SharedConnectivity restore;  // back into the order of the features
  int64_t features;
  int feature_dim;
};

// Any of the above. The layout of mixed is seeded by config.mix_seed, else block_seed, else
// config.seed. Draws of `range` and `std` come from `generator`, once per option in the order
// slope, amplitude, frequency, decay; the reference makes more draws and its normals differ, so
// that with these options a network does not start from the reference's numbers.
std::unique_ptr<Activation> make_activation(ActivationKind kind, int64_t features,
                                            const ActivationConfig& config,
                                            TorchGenerator& generator,
                                            std::optional<int64_t> block_seed = {});

// --- networks -------------------------------------------------------------------------------
enum class ModelKind : uint8_t { geo_sparse, mlp, dense_residual };
enum class ComputeMode : uint8_t { gather, scatter };  // both run the same kernel here

struct NetworkConfig {
  NetworkConfig() { connectivity.k = 8; }
  ModelKind model = ModelKind::geo_sparse;
  int64_t input_dim = 0;  // geo_sparse: 0 means H * W
  int64_t output_dim = 1;
  int64_t hidden_dim = 0;  // width of mlp and dense_residual
  int64_t depth = 4;       // blocks; hidden layers of mlp
  ActivationKind activation = ActivationKind::psann;
  ActivationConfig activation_config;
  NormKind norm = NormKind::rms;  // geo_sparse and dense_residual, as residual_alpha_init
  double residual_alpha_init = 0;
  // geo_sparse only
  ConnectivityOptions connectivity;  // shape, k, pattern, radius, ..., seed
  double drop_path_max = 0;
  Bias bias = Bias::yes;  // of the sparse layers; the head always has one
  ComputeMode compute_mode = ComputeMode::gather;
};

// From JSON, {"model": "geo_sparse"|"mlp"|"dense_residual", ...}, default geo_sparse:
//   all: input_dim, output_dim 1, depth 4, activation_type "psann", activation_config
//   mlp, dense_residual: hidden_dim; dense_residual, geo_sparse: norm "rms", residual_alpha_init 0
//   geo_sparse: shape [H, W] or "HxW", k 8, pattern "local", radius 1 or "auto", offsets,
//   wrap_mode "clamp", drop_path_max 0, bias true, compute_mode "gather", seed, include_self,
//   allow_repeats, offset_order "reference", distinct false, dilation 1
// Unknown keys throw and name the nearest known one; so do values of a wrong type or out of range.
// null means absent; the key "sinew" is ignored. Deeper than 64 levels or above 64 MiB throws.
NetworkConfig parse_network_config(const std::string& json);
// The keys that are present over those of `base`, without the check of ranges.
NetworkConfig overlay_network_config(const std::string& json, const NetworkConfig& base);
// Throws `model: ...` for sizes and rates out of range; fills in input_dim of geo_sparse.
NetworkConfig checked(NetworkConfig config);
std::string to_json(const NetworkConfig& config);  // every key of the model that is not null

enum class Strict : uint8_t { yes, no };

class Network {
 public:
  virtual ~Network() = default;
  virtual Tensor operator()(const Tensor& x, Mode mode = Mode::eval) const = 0;
  virtual Members members() = 0;  // in the reference's order

  std::vector<Parameter> parameters();  // frozen ones too
  int64_t parameter_count();            // elements of all parameters
  int64_t trainable_count();            // elements of those that train
  // f32 or f64: casts every parameter to new storage; before a ParameterBlock takes them. bf16 (for
  // cuda): f32 parameters, and activations of bf16 between the first layer and the output, which is
  // f32; what must not be rounded stays f32 (Activation, statistics, gradients of parameters).
  void to(DType dtype);

  // Parameters and, for each table, `in_index_per_out` (n_out, k), `src_index` and `dst_index`
  // (n_out * k, see edge_list) as i32. Values share storage with the parameters.
  NamedTensors state();
  // Copies values of a state into the parameters (cast to their dtype, in place) and takes over
  // its tables. Missing tensors, wrong shapes and tables out of range throw and nothing is
  // changed; so do unexpected names, unless Strict::no ignores them.
  void load_state(const NamedTensors& state, Strict strict = Strict::yes);

  // The layouts of mixed activations, which the state does not hold: for each part its features,
  // i32, under a name like `blocks.0.act.acts.relu`.
  NamedTensors index_sets();
  // Throws, and changes nothing, unless names and sizes are those of index_sets() and each layout
  // holds every feature once.
  void load_index_sets(const NamedTensors& sets);

 protected:
  Tensor entering(const Tensor& x) const;  // as the type of activations
  std::optional<DType> leaving() const;    // of the output

 private:
  DType activations_ = DType::f32;  // f32 and f64: as x
};

// x + alpha drop_path(fc2(act(fc1(norm(x))))); alpha (1). fc1 and fc2 share a table.
struct GeoBlock {
  GeoBlock(const NetworkConfig& config, SharedConnectivity table, double drop_path,
           std::optional<int64_t> seed, TorchGenerator& generator);
  Tensor operator()(const Tensor& x, Mode mode) const;
  void members(const std::string& prefix, Members& out);
  Tensor alpha;
  Norm norm;
  GeoLinear fc1;
  std::unique_ptr<Activation> act;
  GeoLinear fc2;
  double drop_path;
};
// x through the blocks: fused into geo_blocks unless fusion() is off, where activations are sines
// along the last axis, relu or tanh, the blocks are alike and geo_blocks_fit.
Tensor through_blocks(const Tensor& x, std::span<const GeoBlock> blocks, Mode mode);

// `depth` blocks on n = H * W features, then a dense head. Block i has the table seed and mixed
// layout seed `seed + 9973 i`, and drops its path with drop_path_max i / (depth - 1).
// x (..., H, W) or (..., n) of rank 2 or more -> (..., output_dim).
// Members: blocks.<i>.alpha, .norm.*, .fc1.*, .act.*, .fc2.*; head.*.
struct GeoSparseNet : Network {
  GeoSparseNet(const NetworkConfig& config, TorchGenerator& generator);
  Tensor operator()(const Tensor& x, Mode mode = Mode::eval) const override;
  Members members() override;
  NetworkConfig config;
  std::vector<GeoBlock> blocks;
  Linear head;
};

// depth x (dense, activation), then a dense head; x (..., input_dim) -> (..., output_dim).
// Members: layers.<i>.fc.*, layers.<i>.act.*; head.*.
struct Mlp : Network {
  struct Layer {
    Linear fc;
    std::unique_ptr<Activation> act;
  };
  Mlp(const NetworkConfig& config, TorchGenerator& generator);
  Tensor operator()(const Tensor& x, Mode mode = Mode::eval) const override;
  Members members() override;
  NetworkConfig config;
  std::vector<Layer> layers;
  Linear head;
};

// x + alpha fc2(act(fc1(norm(x)))) with dense layers.
struct DenseBlock {
  DenseBlock(const NetworkConfig& config, TorchGenerator& generator);
  Tensor operator()(const Tensor& x) const;
  void members(const std::string& prefix, Members& out);
  Tensor alpha;
  Norm norm;
  Linear fc1;
  std::unique_ptr<Activation> act;
  Linear fc2;
};

// in_proj to hidden_dim, `depth` blocks, head; x (..., input_dim) -> (..., output_dim).
// Members: in_proj.*; blocks.<i>.alpha, .norm.*, .fc1.*, .act.*, .fc2.*; head.*.
struct DenseResidualNet : Network {
  DenseResidualNet(const NetworkConfig& config, TorchGenerator& generator);
  Tensor operator()(const Tensor& x, Mode mode = Mode::eval) const override;
  Members members() override;
  NetworkConfig config;
  Linear in_proj;
  std::vector<DenseBlock> blocks;
  Linear head;
};

// The network of config.model. Weights are drawn from `generator` in the order of the layers,
// and so are the tables of pattern random without a seed. Throws for sizes out of range and for
// more parameters than the machine has memory for.
std::unique_ptr<Network> make_network(const NetworkConfig& config, TorchGenerator& generator);

}  // namespace sinew
