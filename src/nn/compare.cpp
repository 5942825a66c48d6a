// Data and networks of a comparison. Split and scaling follow the psann package's benchmark: the
// validation rows come out of the training rows, the scalers see the remaining ones only. Dense
// nets are matched to what the geo-sparse net really holds: its published formula plus norms and
// activations, counted on one activation that is built for it.
#include "sinew/compare.h"

#include <algorithm>

#include "nn/config_value.h"
#include "nn/network_config.h"
#include "sinew/error.h"

namespace sinew {
namespace {

constexpr int64_t size_limit = 1 << 20;  // of depths and widths: no count overflows

struct Baseline {
  ModelKind model;
  ActivationKind activation;
};
const std::vector<std::string> names = {"dense_resrelu", "dense_respsann", "dense_relu",
                                        "dense_psann"};
const Baseline baselines[] = {{ModelKind::dense_residual, ActivationKind::relu},
                              {ModelKind::dense_residual, ActivationKind::psann},
                              {ModelKind::mlp, ActivationKind::relu},
                              {ModelKind::mlp, ActivationKind::psann}};

ParameterCount geo_parameters(const NetworkConfig& geo) {
  GeoNetSize size;
  size.features = geo.input_dim;
  size.outputs = geo.output_dim;
  size.depth = geo.depth;
  size.k = geo.connectivity.k;
  size.bias = geo.bias;
  size.norm_parameters = norm_multiplier(name(geo.norm)) * geo.input_dim;
  TorchGenerator unused;
  const auto activation =
      make_activation(geo.activation, geo.input_dim, geo.activation_config, unused);
  Members members;  // point into the activation
  activation->members("", members);
  for (const Member& m : members)
    if (m.tensor) size.activation_parameters += m.tensor->numel();
  return geo_net_parameters(size);
}

WidthMatch match_width(const NetworkConfig& dense, int64_t target, int64_t max_width) {
  DenseNetSize size;
  size.inputs = dense.input_dim;
  size.outputs = dense.output_dim;
  size.depth = dense.depth;
  size.activation_multiplier = activation_multiplier(name(dense.activation));
  if (dense.model == ModelKind::dense_residual) {
    size.norm_multiplier = norm_multiplier(name(dense.norm));
    return match_dense_residual_width(target, size, max_width);
  }
  std::vector<int64_t> widths;
  for (int64_t width = 1; width <= max_width; ++width) widths.push_back(width);
  return match_mlp_width(target, size, widths);
}

Contender dense_contender(size_t which, const Contender& geo, const ContenderOptions& options) {
  Contender c;
  c.name = names[which];
  c.config.model = baselines[which].model;
  c.config.activation = baselines[which].activation;
  if (c.config.activation == ActivationKind::psann)
    c.config.activation_config = geo.config.activation_config;
  c.config.input_dim = geo.config.input_dim;
  c.config.output_dim = geo.config.output_dim;
  c.config.depth = options.dense_depth.value_or(geo.config.depth);
  c.config.norm = geo.config.norm;
  c.config.residual_alpha_init = geo.config.residual_alpha_init;
  c.match = match_width(c.config, geo.parameters.empirical, options.max_width);
  c.config.hidden_dim = c.match->width;
  c.parameters = {c.match->parameters, c.match->parameters};
  return c;
}

}  // namespace

Tensor ComparisonData::unscaled(const Tensor& y) const {
  return y_scaler ? y_scaler->invert(y) : y;
}

ComparisonData prepare(const Task& task, const PrepareOptions& options) {
  const Split split = split_rows(task.x.dim(0), options.validation_fraction, options.seed);
  const Tensor x = gather(task.x, split.train), y = gather(task.y, split.train);
  ComparisonData out;
  if (options.scale_x) out.x_scaler = standard_scaler(x);
  if (options.scale_y) out.y_scaler = standard_scaler(y);
  const auto scale_x = [&](const Tensor& t) { return out.x_scaler ? out.x_scaler->apply(t) : t; };
  const auto scale_y = [&](const Tensor& t) { return out.y_scaler ? out.y_scaler->apply(t) : t; };
  out.data.x = scale_x(x);
  out.data.y = scale_y(y);
  if (split.validation.numel() > 0) {
    out.data.val_x = scale_x(gather(task.x, split.validation));
    out.data.val_y = scale_y(gather(task.y, split.validation));
  }
  out.test_x = scale_x(task.test_x);
  out.test_y = task.test_y;
  return out;
}

std::vector<Contender> contenders(const NetworkConfig& geo, const ContenderOptions& options) {
  if (geo.model != ModelKind::geo_sparse)
    throw Error("contenders: needs a geo_sparse configuration");
  const int64_t dense_depth = options.dense_depth.value_or(geo.depth);
  for (int64_t size : {geo.depth, dense_depth, options.max_width})
    if (size < 1 || size > size_limit)
      throw Error("contenders: a size outside [1, 2^20] (depth " + std::to_string(geo.depth) +
                  ", dense_depth " + std::to_string(dense_depth) + ", max_width " +
                  std::to_string(options.max_width) + ")");
  std::array<bool, std::size(baselines)> wanted{};
  for (const std::string& baseline : options.baselines)
    wanted[choose("contenders", "baseline", baseline, names)] = true;
  std::vector<Contender> out(1);
  out[0].name = "geo_sparse";
  out[0].config = checked(geo);
  out[0].parameters = geo_parameters(out[0].config);
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i]) out.push_back(dense_contender(i, out[0], options));
  return out;
}

}  // namespace sinew
