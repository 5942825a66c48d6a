// Dense and sparse layers, norms and residual blocks: formulas in nn.h.
// PyTorch's Kaiming uniform with slope sqrt(5) has the bound sqrt(3) sqrt(2 / (1 + 5)) /
// sqrt(fan_in) = 1 / sqrt(fan_in), which is also that of its bias.
#include <algorithm>
#include <cmath>

#include "sinew/error.h"
#include "sinew/nn.h"

namespace sinew {
namespace {

constexpr double rms_eps = 1e-6, layer_eps = 1e-5;

void check_sizes(int64_t n_in, int64_t n_out) {
  if (n_in < 1 || n_out < 1)
    throw Error("linear: sizes must be positive (n_in " + std::to_string(n_in) + ", n_out " +
                std::to_string(n_out) + ")");
}

const Connectivity& checked(const SharedConnectivity& table) {
  if (!table) throw Error("geo_linear: the layer has no table");
  return *table;
}

const SharedConnectivity& square(const SharedConnectivity& table) {
  if (checked(table).n_in != table->n_out)
    throw Error("geo block: the table is not square (n_in " + std::to_string(table->n_in) +
                ", n_out " + std::to_string(table->n_out) + ")");
  return table;
}

Tensor alpha_of(double value) { return Tensor::full({1}, value); }

template <class Block>
Tensor branch(const Block& block, const Tensor& x) {
  const Tensor z = block.fc1(block.norm(x), block.act->z_dtype(x.dtype()));
  return block.fc2((*block.act)(z, x.dtype()));
}

bool drops_path(const GeoBlock& block, Mode mode) {
  return mode == Mode::train && block.drop_path > 0;
}

const SineActivation* sine_of(const GeoBlock& block) {
  return dynamic_cast<const SineActivation*>(block.act.get());
}

GeoBlocksOptions fused_options(const GeoBlock& block) {
  GeoBlocksOptions out;
  out.eps = block.norm.eps();
  if (const SineActivation* sine = sine_of(block)) {
    out.sine = sine->config.sine;
    return out;
  }
  const auto& plain = dynamic_cast<const PlainActivation&>(*block.act);
  out.activation =
      plain.kind == ActivationKind::relu ? BlockActivation::relu : BlockActivation::tanh;
  return out;
}

// All that geo_blocks has once for all blocks.
bool alike(const GeoBlock& a, const GeoBlock& b) {
  if (a.norm.kind != b.norm.kind || a.fc1.table->k != b.fc1.table->k) return false;
  if (const SineActivation* sine = sine_of(a), *other = sine_of(b); sine && other)
    return sine->config.sine == other->config.sine;
  const auto* plain = dynamic_cast<const PlainActivation*>(a.act.get());
  const auto* other = dynamic_cast<const PlainActivation*>(b.act.get());
  return plain && other && plain->kind == other->kind;
}

bool can_fuse(std::span<const GeoBlock> blocks) {
  if (fusion() == Fusion::off || blocks.empty()) return false;
  return std::all_of(blocks.begin(), blocks.end(), [&](const GeoBlock& block) {
    const Connectivity& table = *block.fc1.table;
    const SineActivation* sine = sine_of(block);
    const auto* plain = dynamic_cast<const PlainActivation*>(block.act.get());
    const bool known = sine    ? sine->config.feature_dim == -1
                       : plain ? plain->kind != ActivationKind::gelu
                               : false;
    return known && alike(block, blocks[0]) && block.fc1.table == block.fc2.table &&
           geo_blocks_fit(table.n_out, table.k);
  });
}

GeoBlockOperands operands_of(const GeoBlock& block, const Tensor& x, Mode mode) {
  GeoBlockOperands out;
  out.alpha = block.alpha;
  out.scale = block.norm.scale;
  out.shift = block.norm.bias;
  out.weight1 = block.fc1.weight;
  out.bias1 = block.fc1.bias;
  out.weight2 = block.fc2.weight;
  out.bias2 = block.fc2.bias;
  if (const SineActivation* sine = sine_of(block)) {
    out.amplitude = sine->amplitude;
    out.frequency = sine->frequency;
    out.decay = sine->decay;
    out.phase = sine->phase;
  }
  if (drops_path(block, mode))
    out.keep = sinew::drop_path(Tensor::full({x.dim(0)}, 1, block.alpha.dtype()), block.drop_path);
  out.table = block.fc1.table;
  return out;
}

template <class Block>
void block_members(Block& block, const std::string& prefix, Members& out) {
  out.push_back({prefix + "alpha", &block.alpha, nullptr, true});
  block.norm.members(prefix + "norm.", out);
  block.fc1.members(prefix + "fc1.", out);
  block.act->members(prefix + "act.", out);
  block.fc2.members(prefix + "fc2.", out);
}

}  // namespace

Tensor fan_in_uniform(const Shape& shape, int64_t fan_in, TorchGenerator& generator) {
  if (fan_in < 1)
    throw Error("fan_in_uniform: fan_in must be positive (" + std::to_string(fan_in) + ")");
  const auto bound = static_cast<float>(1 / std::sqrt(static_cast<double>(fan_in)));
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = generator.uniform(-bound, bound);
  return Tensor::from(values, shape);
}

Linear::Linear(int64_t n_in, int64_t n_out, TorchGenerator& generator) {
  check_sizes(n_in, n_out);
  weight = fan_in_uniform({n_out, n_in}, n_in, generator);
  bias = fan_in_uniform({n_out}, n_in, generator);
}

Tensor Linear::operator()(const Tensor& x, std::optional<DType> y_dtype) const {
  return matmul(x, weight, Trans::no, Trans::yes, bias, y_dtype);
}

void Linear::members(const std::string& prefix, Members& out) {
  out.push_back({prefix + "weight", &weight, nullptr, true});
  out.push_back({prefix + "bias", &bias, nullptr, true});
}

GeoLinear::GeoLinear(SharedConnectivity shared, Bias with_bias, TorchGenerator& generator)
    : table(std::move(shared)) {
  const Connectivity& c = checked(table);
  weight = fan_in_uniform({c.n_out, c.k}, c.k, generator);
  if (with_bias == Bias::yes) bias = fan_in_uniform({c.n_out}, c.k, generator);
}

Tensor GeoLinear::operator()(const Tensor& x, std::optional<DType> y_dtype) const {
  return geo_linear(x, weight, bias, table, y_dtype);
}

void GeoLinear::members(const std::string& prefix, Members& out) {
  out.push_back({prefix + "weight", &weight, nullptr, true});
  if (bias.defined()) out.push_back({prefix + "bias", &bias, nullptr, true});
  out.push_back({prefix, nullptr, &table, false});
}

Norm::Norm(NormKind kind, int64_t features) : kind(kind) {
  if (kind != NormKind::none) scale = Tensor::full({features}, 1);
  if (kind == NormKind::layer) bias = Tensor::zeros({features});
}

Tensor Norm::operator()(const Tensor& x) const {
  if (kind == NormKind::none) return x;
  return kind == NormKind::rms ? rms_norm(x, scale, eps()) : layer_norm(x, scale, bias, eps());
}

double Norm::eps() const { return kind == NormKind::layer ? layer_eps : rms_eps; }

void Norm::members(const std::string& prefix, Members& out) {
  if (kind == NormKind::rms) out.push_back({prefix + "scale", &scale, nullptr, true});
  if (kind != NormKind::layer) return;
  out.push_back({prefix + "weight", &scale, nullptr, true});
  out.push_back({prefix + "bias", &bias, nullptr, true});
}

GeoBlock::GeoBlock(const NetworkConfig& config, SharedConnectivity table, double drop_path,
                   std::optional<int64_t> seed, TorchGenerator& generator)
    : alpha(alpha_of(config.residual_alpha_init)),
      norm(config.norm, square(table)->n_out),
      fc1(table, config.bias, generator),
      act(make_activation(config.activation, table->n_out, config.activation_config, generator,
                          seed)),
      fc2(table, config.bias, generator),
      drop_path(drop_path) {}

Tensor GeoBlock::operator()(const Tensor& x, Mode mode) const {
  return through_blocks(x, {this, 1}, mode);
}

Tensor through_blocks(const Tensor& x, std::span<const GeoBlock> blocks, Mode mode) {
  Tensor h = x;
  if (can_fuse(blocks)) {
    std::vector<GeoBlockOperands> operands;
    for (const GeoBlock& block : blocks) operands.push_back(operands_of(block, x, mode));
    return geo_blocks(x, operands, fused_options(blocks[0]));
  }
  for (const GeoBlock& block : blocks) {
    Tensor branch_h = branch(block, h);
    if (drops_path(block, mode)) branch_h = sinew::drop_path(branch_h, block.drop_path);
    h = add(h, mul(block.alpha, branch_h));
  }
  return h;
}

void GeoBlock::members(const std::string& prefix, Members& out) {
  block_members(*this, prefix, out);
}

DenseBlock::DenseBlock(const NetworkConfig& config, TorchGenerator& generator)
    : alpha(alpha_of(config.residual_alpha_init)),
      norm(config.norm, config.hidden_dim),
      fc1(config.hidden_dim, config.hidden_dim, generator),
      act(make_activation(config.activation, config.hidden_dim, config.activation_config,
                          generator)),
      fc2(config.hidden_dim, config.hidden_dim, generator) {}

Tensor DenseBlock::operator()(const Tensor& x) const {
  return add(x, mul(alpha, branch(*this, x)));
}

void DenseBlock::members(const std::string& prefix, Members& out) {
  block_members(*this, prefix, out);
}

}  // namespace sinew
