// The calls of `sinew micro`: y = fc(x), or y = x + alpha fc2(act(fc1(norm(x)))), and for the
// backward pass L = sum(y), dL/dparameters, p -= 0 dL/dp. Costs are those of bench_cost.h, with the
// sum (reads y, writes dL/dy) and the update (reads p and its gradient, writes p).
#include <unistd.h>

#include <memory>

#include "bench_op.h"
#include "micro.h"
#include "sinew/optim.h"

namespace sinew::tools {
namespace {

Tensor normal_input(const MicroSettings& s, int64_t features) {
  const double pages = static_cast<double>(sysconf(_SC_PHYS_PAGES));
  const double memory = pages * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (static_cast<double>(s.batch_size) * static_cast<double>(features) * sizeof(float) > memory)
    throw Error("--batch-size " + std::to_string(s.batch_size) +
                ": the input is larger than this machine's memory");
  const Shape shape{s.batch_size, features};
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  NumpyGenerator generator(s.seed);
  for (float& value : values) value = static_cast<float>(generator.normal());
  return cast(Tensor::from(values, shape), s.precision.activations);
}

std::vector<Parameter> parameters_of(const Members& members, DType dtype) {
  std::vector<Parameter> out;
  for (const Member& m : members) {
    if (!m.tensor) continue;
    *m.tensor = cast(*m.tensor, dtype);
    out.push_back({m.name, m.tensor, m.trainable});
  }
  return out;
}

}  // namespace

const char* name(Part part) { return part == Part::linear ? "linear" : "block"; }
const char* name(Work work) {
  switch (work) {
    case Work::forward: return "forward";
    case Work::forward_backward: return "forward_backward";
    case Work::forward_backward_dx: break;
  }
  return "forward_backward_dx";
}

std::vector<std::string> MicroSettings::modes() const {
  return compute_mode == "auto" ? std::vector<std::string>{"gather", "scatter"}
                                : std::vector<std::string>{compute_mode};
}

struct MicroCases::Subject {
  template <class Module>
  Subject(std::shared_ptr<Module> module, std::function<Tensor(const Tensor&, Mode)> call,
          DType dtype)
      : owner(module), f(std::move(call)) {
    Members members;
    module->members("", members);
    block = std::make_unique<ParameterBlock>(parameters_of(members, dtype));
    optimizer = std::make_unique<Sgd>(*block, SgdOptions{.lr = 0, .momentum = 0});
  }

  Tensors step(Tensor x, Work work) {
    Tape tape;
    block->watch(tape);
    Tensors wrt;
    for (const Parameter& p : block->parameters())
      if (p.trainable) wrt.push_back(*p.tensor);
    const size_t trainable = wrt.size();
    if (work == Work::forward_backward_dx) x = tracked(tape, x, wrt);
    const Tensor loss = sum(f(x, Mode::train));
    Tensors out = tape.gradients(loss, wrt);
    int64_t offset = 0;
    for (size_t i = 0; i < trainable; ++i) {
      block->gradients.view(offset, out[i].shape()).assign(out[i]);
      offset += out[i].numel();
    }
    optimizer->step();
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(trainable));
    out.push_back(loss);
    return out;
  }

  std::shared_ptr<void> owner;
  std::function<Tensor(const Tensor&, Mode)> f;
  std::unique_ptr<ParameterBlock> block;
  std::unique_ptr<Sgd> optimizer;
};

MicroCases::MicroCases(const MicroSettings& settings)
    : settings_(settings),
      table_(make_connectivity(settings.network.connectivity)),
      x_(normal_input(settings, table_->n_in)) {
  prepare(Part::block, Work::forward);  // throws for a wrong activation_config
}

Prepared MicroCases::prepare(Part part, Work work) const {
  const NetworkConfig& c = settings_.network;
  const DType dtype = settings_.precision.parameters;
  TorchGenerator generator(settings_.seed);
  std::shared_ptr<Subject> subject;
  if (part == Part::linear) {
    const auto layer = std::make_shared<GeoLinear>(table_, c.bias, generator);
    const auto call = [m = layer.get()](const Tensor& x, Mode) { return (*m)(x); };
    subject = std::make_shared<Subject>(layer, call, dtype);
  } else {
    const auto block = std::make_shared<GeoBlock>(c, table_, 0, c.connectivity.seed, generator);
    const auto call = [m = block.get()](const Tensor& x, Mode mode) { return (*m)(x, mode); };
    subject = std::make_shared<Subject>(block, call, dtype);
  }
  Prepared out;
  out.parameters = subject->block->size();
  out.cost = cost_of(part, work, out.parameters);
  if (work == Work::forward)
    out.call = [subject, x = x_](const Tensors&) { return Tensors{subject->f(x, Mode::eval)}; };
  else
    out.call = [subject, x = x_, work](const Tensors&) { return subject->step(x, work); };
  return out;
}

Cost MicroCases::cost_of(Part part, Work work, int64_t parameters) const {
  const NetworkConfig& c = settings_.network;
  const auto n = static_cast<double>(table_->n_in), k = static_cast<double>(table_->k);
  BlockSize size{static_cast<double>(settings_.batch_size), n, n * k, n * k, count::geo_linear(k)};
  size.norm = c.norm;
  size.activation = activation_size(c);
  size.bias = c.bias;
  const Pass pass = work == Work::forward            ? Pass::forward
                    : work == Work::forward_backward ? Pass::parameters
                                                     : Pass::gradient;
  const Cost cost = part == Part::linear ? layer_cost(size, settings_.precision, pass)
                                         : block_cost(size, settings_.precision, pass);
  if (work == Work::forward) return cost;
  const double y = size.rows * n, p = static_cast<double>(parameters);
  const Cost sum{2 * y * static_cast<double>(size_of(settings_.precision.activations)), y};
  const Cost update{3 * p * static_cast<double>(size_of(settings_.precision.parameters)),
                    count::plain_sgd * p};
  return cost + sum + update;
}

}  // namespace sinew::tools
