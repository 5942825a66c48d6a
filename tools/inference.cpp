// Stored models and their predictions for predict and evaluate.
#include "inference.h"

#include "command.h"
#include "sinew/io.h"
#include "sinew/ops.h"

namespace sinew::tools {
Model read_model(const ModelFlags& flags, DType network_type) {
  Model model;
  if (!flags.model.empty()) {
    model = load_model(flags.model);
  } else {
    const std::string json = read_file(flags.config);
    model.config = about(flags.config, [&] { return parse_network_config(json); });
    const NamedTensors weights = read_safetensors(flags.weights);
    model.net = about(flags.weights, [&] {
      return load_network(model.config, weights, flags.strict ? Strict::yes : Strict::no);
    });
  }
  model.net->to(network_type);
  return model;
}

ColumnNames names_of(const Model& model) { return {model.inputs, model.targets}; }

void require_inputs(const NetworkConfig& config, const Tensor& x, const std::vector<int64_t>& grid,
                    const std::string& file) {
  if (x.dim(1) != config.input_dim)
    throw Error(file + ": has " + std::to_string(x.dim(1)) + " inputs per row, the network " +
                std::to_string(config.input_dim));
  const Shape given(grid), known(config.connectivity.shape);
  if (config.model == ModelKind::geo_sparse && !grid.empty() && !(given == known))
    throw Error(file + ": rows are grids of " + given.str() + ", the network's shape is " +
                known.str());
}

Tensor predict_rows(const Model& model, const Tensor& x, int64_t batch_size) {
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < x.dim(0); first += batch_size) {
    if (stop_signal() != 0) throw Stopped();
    const int64_t count = std::min(batch_size, x.dim(0) - first);
    parts.push_back(predict(model, x.rows(first, count), count));
  }
  return concat(parts, 0);
}

}  // namespace sinew::tools
