// Sums of the counts of bench_cost.h over the layers of blocks and networks.
#include "bench_cost.h"

namespace sinew::tools {
namespace {

// A layer of `elements` inputs and `outputs` outputs with `parameters`, and bytes of a table.
struct Layer {
  double elements, outputs, parameters, table;
  PerElement operations;
};

Cost layer_cost(const Layer& l, Precision precision, Pass pass) {
  const auto a = static_cast<double>(size_of(precision.activations));
  const auto p = static_cast<double>(size_of(precision.parameters));
  const double read = l.elements * a + l.parameters * p + l.table;
  const double written = l.outputs * a;
  const double operations = l.elements * l.operations.forward;
  if (pass == Pass::forward) return {read + written, operations};
  const double gradients = l.elements * a + l.parameters * p;
  const Cost all{2 * read + 2 * written + gradients,
                 operations + l.elements * l.operations.backward};
  if (pass == Pass::gradient) return all;
  // x's gradient is not written, and the parameters are not read for it.
  return {all.bytes - gradients, all.operations - l.elements * l.operations.input};
}

Layer layer_of(const BlockSize& s) {
  const double x = s.rows * s.features;
  return {x, x, s.weights + (s.bias == Bias::yes ? s.features : 0), 4 * s.table, s.linear};
}

}  // namespace

PerElement count::activation(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::psann: return sine;
    case ActivationKind::phase_psann: return phase_sine;
    case ActivationKind::relu_sigmoid_psann: return relu_sigmoid_sine;
    case ActivationKind::tanh: return tanh;
    case ActivationKind::gelu: return gelu;
    case ActivationKind::relu: return relu;
    case ActivationKind::mixed: break;
  }
  return {(sine.forward + relu.forward) / 2, (sine.backward + relu.backward) / 2};  // half each
}

ActivationSize activation_size(const NetworkConfig& config) {
  const auto one = [](ActivationKind kind) -> ActivationSize {
    return {count::activation(kind), static_cast<double>(activation_multiplier(name(kind)))};
  };
  if (config.activation != ActivationKind::mixed) return one(config.activation);
  const auto& types = config.activation_config.types;
  const auto& ratios = config.activation_config.ratios;
  ActivationSize sum;
  for (size_t i = 0; i < types.size(); ++i) {
    const double share = ratios ? ratios->at(i) : 1 / static_cast<double>(types.size());
    const ActivationSize part = one(types[i]);
    sum.operations.forward += share * part.operations.forward;
    sum.operations.backward += share * part.operations.backward;
    sum.parameters += share * part.parameters;
  }
  return sum;
}

Cost cost_of(const std::vector<Tensor>& inputs, size_t wrt, const Tensor& y, PerElement operations,
             Saves saves, Pass pass) {
  double read = 0, gradients = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    read += bytes_of(inputs[i]);
    if (i < wrt) gradients += bytes_of(inputs[i]);
  }
  const auto n = static_cast<double>(inputs.at(0).numel());
  const Cost forward{read + bytes_of(y), n * operations.forward};
  if (pass == Pass::forward) return forward;
  const double again = saves == Saves::inputs ? read : 0;
  return forward + Cost{bytes_of(y) + again + gradients, n * operations.backward};
}

Cost layer_cost(const BlockSize& s, Precision precision, Pass pass) {
  return layer_cost(layer_of(s), precision, pass);
}

Cost block_cost(const BlockSize& s, Precision precision, Pass pass) {
  const double x = s.rows * s.features;
  const double scales = s.norm == NormKind::layer ? 2 : s.norm == NormKind::rms ? 1 : 0;
  const PerElement norm = s.norm == NormKind::layer ? count::layer_norm
                          : s.norm == NormKind::rms ? count::rms_norm
                                                    : count::copy;
  const Layer fc = layer_of(s);
  const Layer act{x, x, s.activation.parameters * s.features, 0, s.activation.operations};
  const Layer normed{x, x, scales * s.features, 0, norm};
  const PerElement half{count::residual.forward / 2, count::residual.backward / 2};
  const Layer residual{2 * x, x, 1, 0, half};
  const Pass inner = pass == Pass::forward ? pass : Pass::gradient;
  const bool norm_first = s.norm != NormKind::none;
  Cost sum = layer_cost(fc, precision, norm_first ? inner : pass) +
             layer_cost(fc, precision, inner) + layer_cost(act, precision, inner) +
             layer_cost(residual, precision, inner);
  if (norm_first) sum = sum + layer_cost(normed, precision, pass);
  if (pass == Pass::parameters)  // the sum hands x no gradient
    sum.bytes -= x * static_cast<double>(size_of(precision.activations));
  return sum;
}

Cost step_cost(const NetworkConfig& c, int64_t batch, int64_t parameters, Precision precision) {
  const auto rows = static_cast<double>(batch), inputs = static_cast<double>(c.input_dim);
  const auto depth = static_cast<double>(c.depth), k = static_cast<double>(c.connectivity.k);
  const bool geo = c.model == ModelKind::geo_sparse;
  const auto width = geo ? inputs : static_cast<double>(c.hidden_dim);
  const auto outputs = static_cast<double>(c.output_dim);
  const auto dense = [&](double in, double out) {
    const Layer layer{rows * in, rows * out, in * out + out, 0, count::matmul(out)};
    return layer_cost(layer, precision, Pass::gradient);
  };
  Cost sum = dense(width, outputs);
  if (c.model == ModelKind::mlp) {
    const ActivationSize size = activation_size(c);
    const Layer act{rows * width, rows * width, size.parameters * width, 0, size.operations};
    sum = sum + dense(inputs, width) + (depth - 1) * dense(width, width) +
          depth * layer_cost(act, precision, Pass::gradient);
  } else {
    const BlockSize size{rows,
                         width,
                         geo ? width * k : width * width,
                         geo ? width * k : 0,
                         geo ? count::geo_linear(k) : count::matmul(width),
                         c.norm,
                         activation_size(c)};
    sum = sum + depth * block_cost(size, precision, Pass::gradient);
    if (!geo) sum = sum + dense(inputs, width);
  }
  const auto p = static_cast<double>(parameters);
  const Layer error{2 * rows * outputs,
                    1,
                    0,
                    0,
                    {count::square_error.forward / 2, count::square_error.backward / 2}};
  return sum + layer_cost(error, precision, Pass::gradient) +
         Cost{7 * p * static_cast<double>(size_of(precision.parameters)), count::adam * p};
}

}  // namespace sinew::tools
