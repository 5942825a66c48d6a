// GeoSparseNet, Mlp and DenseResidualNet: formulas, member names and draw order in nn.h.
#include "nn/network_config.h"
#include "sinew/error.h"
#include "sinew/nn.h"

namespace sinew {
namespace {

std::optional<int64_t> block_seed(const std::optional<int64_t>& seed, int64_t block) {
  if (!seed) return {};
  return static_cast<int64_t>(static_cast<uint64_t>(*seed) + 9973u * static_cast<uint64_t>(block));
}

std::vector<GeoBlock> make_geo_blocks(const NetworkConfig& config, TorchGenerator& generator) {
  std::vector<GeoBlock> blocks;
  for (int64_t i = 0; i < config.depth; ++i) {
    ConnectivityOptions options = config.connectivity;
    options.seed = block_seed(options.seed, i);
    const bool same = i > 0 && options.pattern == Pattern::local;  // seeds do not count: one table
    const auto table = same ? blocks[0].fc1.table : make_connectivity(options, generator);
    const double drop_path = config.depth == 1 ? 0
                                               : config.drop_path_max * static_cast<double>(i) /
                                                     static_cast<double>(config.depth - 1);
    blocks.emplace_back(config, table, drop_path, options.seed, generator);
  }
  return blocks;
}

std::vector<Mlp::Layer> make_layers(const NetworkConfig& c, TorchGenerator& generator) {
  std::vector<Mlp::Layer> layers;
  for (int64_t i = 0; i < c.depth; ++i) {
    Linear fc(i == 0 ? c.input_dim : c.hidden_dim, c.hidden_dim, generator);
    layers.push_back({std::move(fc),
                      make_activation(c.activation, c.hidden_dim, c.activation_config, generator)});
  }
  return layers;
}

std::vector<DenseBlock> make_dense_blocks(const NetworkConfig& c, TorchGenerator& generator) {
  std::vector<DenseBlock> blocks;
  for (int64_t i = 0; i < c.depth; ++i) blocks.emplace_back(c, generator);
  return blocks;
}

// Leading axes with the features last: (..., H, W) first, then (..., n).
Tensor features_last(const Tensor& x, const NetworkConfig& config) {
  const Shape& s = x.shape();
  const auto& grid = config.connectivity.shape;
  const int rank = s.rank();
  if (rank >= 3 && s[rank - 2] == grid[0] && s[rank - 1] == grid[1]) {
    std::vector<int64_t> sizes(s.begin(), s.end() - 2);
    sizes.push_back(config.input_dim);
    return reshape(x, Shape(sizes));
  }
  if (rank >= 2 && s[rank - 1] == config.input_dim) return x;
  throw Error("geo_sparse: input needs shape (..., " + std::to_string(grid[0]) + ", " +
              std::to_string(grid[1]) + ") or (..., " + std::to_string(config.input_dim) +
              ") (is " + s.str() + ")");
}

void check_input(const char* model, const Tensor& x, int64_t input_dim) {
  if (x.rank() < 2 || x.dim(-1) != input_dim)
    throw Error(std::string(model) + ": input needs shape (..., " + std::to_string(input_dim) +
                ") (is " + x.shape().str() + ")");
}

}  // namespace

GeoSparseNet::GeoSparseNet(const NetworkConfig& given, TorchGenerator& generator)
    : config(checked(given)),
      blocks(make_geo_blocks(config, generator)),
      head(config.input_dim, config.output_dim, generator) {}

Tensor GeoSparseNet::operator()(const Tensor& x, Mode mode) const {
  return head(through_blocks(entering(features_last(x, config)), blocks, mode), leaving());
}

Members GeoSparseNet::members() {
  Members out;
  for (size_t i = 0; i < blocks.size(); ++i)
    blocks[i].members("blocks." + std::to_string(i) + ".", out);
  head.members("head.", out);
  return out;
}

Mlp::Mlp(const NetworkConfig& given, TorchGenerator& generator)
    : config(checked(given)),
      layers(make_layers(config, generator)),
      head(config.hidden_dim, config.output_dim, generator) {}

Tensor Mlp::operator()(const Tensor& x, Mode) const {
  check_input("mlp", x, config.input_dim);
  Tensor h = entering(x);
  for (const Layer& layer : layers)
    h = (*layer.act)(layer.fc(h, layer.act->z_dtype(h.dtype())), h.dtype());
  return head(h, leaving());
}

Members Mlp::members() {
  Members out;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    layers[i].fc.members(prefix + "fc.", out);
    layers[i].act->members(prefix + "act.", out);
  }
  head.members("head.", out);
  return out;
}

DenseResidualNet::DenseResidualNet(const NetworkConfig& given, TorchGenerator& generator)
    : config(checked(given)),
      in_proj(config.input_dim, config.hidden_dim, generator),
      blocks(make_dense_blocks(config, generator)),
      head(config.hidden_dim, config.output_dim, generator) {}

Tensor DenseResidualNet::operator()(const Tensor& x, Mode) const {
  check_input("dense_residual", x, config.input_dim);
  Tensor h = in_proj(entering(x));
  for (const DenseBlock& block : blocks) h = block(h);
  return head(h, leaving());
}

Members DenseResidualNet::members() {
  Members out;
  in_proj.members("in_proj.", out);
  for (size_t i = 0; i < blocks.size(); ++i)
    blocks[i].members("blocks." + std::to_string(i) + ".", out);
  head.members("head.", out);
  return out;
}

std::unique_ptr<Network> make_network(const NetworkConfig& given, TorchGenerator& generator) {
  const NetworkConfig config = checked(given);
  require_parameters_fit(config);
  switch (config.model) {
    case ModelKind::mlp: return std::make_unique<Mlp>(config, generator);
    case ModelKind::dense_residual: return std::make_unique<DenseResidualNet>(config, generator);
    default: return std::make_unique<GeoSparseNet>(config, generator);
  }
}

}  // namespace sinew
