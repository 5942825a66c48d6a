// Ceilings, updates of parameters, modules of nn.h, and whole training steps: forward, mean squared
// error, backward, AdamW.
#include <memory>

#include "bench_op.h"
#include "sinew/compare.h"
#include "sinew/optim.h"

namespace sinew::tools {
namespace {

// y = module(x), with what its gradients are taken for.
struct Subject {
  std::shared_ptr<void> owner;
  Tensor x;
  Members members;
  std::function<Tensor(const Tensor&)> f;
};

Prepared prepare(const std::shared_ptr<Subject>& s, Pass pass) {
  Prepared out;
  if (pass == Pass::forward) {
    out.call = [s](const Tensors&) { return Tensors{s->f(s->x)}; };
    return out;
  }
  const Tensor y = s->f(s->x), dy = random_tensor(y.shape(), y.dtype());
  out.call = [s, dy](const Tensors&) {
    Tape tape;
    Tensors wrt;
    const Tensor x = tracked(tape, s->x, wrt);
    for (const Member& m : s->members) {
      if (!m.tensor) continue;
      tape.watch(*m.tensor);
      wrt.push_back(*m.tensor);
    }
    return tape.gradients(s->f(x), wrt, {.cotangent = dy});
  };
  return out;
}

// The inputs of a module: x, its parameters, its tables as i32.
Tensors inputs_of(const Subject& s) {
  Tensors out{s.x};
  for (const Member& m : s.members)
    if (m.tensor) out.push_back(*m.tensor);
  return out;
}

class ModuleCases {
 public:
  ModuleCases(Cases& out, Precision precision, Sizes sizes)
      : out_(out), precision_(precision), full_(sizes == Sizes::full) {}

  void all() {
    layers();
    activations();
    blocks();
  }

 private:
  template <class Module>
  std::shared_ptr<Subject> subject(std::shared_ptr<Module> module) const {
    const auto s = std::make_shared<Subject>();
    s->x = random_tensor({rows(), features()}, precision_.activations);
    module->members("", s->members);
    for (const Member& m : s->members)
      if (m.tensor) *m.tensor = cast(*m.tensor, precision_.parameters);
    s->owner = module;
    if constexpr (requires(Module & m) { m(Tensor(), Mode::train); })
      s->f = [m = module.get()](const Tensor& x) { return (*m)(x, Mode::train); };
    else
      s->f = [m = module.get()](const Tensor& x) { return (*m)(x); };
    return s;
  }

  // `make` returns a shared_ptr of a module; cost per element of x, or of a whole pass.
  template <class Make>
  void add(const std::string& name, const Make& make, PerElement operations) {
    add(name, make, [operations](const Subject& s, Pass pass) {
      return cost_of(inputs_of(s), inputs_of(s).size(), s.f(s.x), operations, Saves::inputs, pass);
    });
  }
  template <class Make>
  void add(const std::string& name, const Make& make,
           const std::function<Cost(const Subject&, Pass)>& cost) {
    for (const Pass pass : {Pass::forward, Pass::gradient}) {
      const auto prepared = [=, *this] {
        const auto s = subject(make());
        Prepared out = prepare(s, pass);
        out.cost = cost(*s, pass);
        return out;
      };
      out_.push_back(
          {"module/" + name + (pass == Pass::forward ? "/forward" : "/gradient"), prepared});
    }
  }

  int64_t side() const { return full_ ? 32 : 4; }
  int64_t features() const { return side() * side(); }
  int64_t rows() const { return full_ ? 2048 : 4; }
  static constexpr int64_t k = 8;
  SharedConnectivity table() const {
    return make_connectivity({.shape = {side(), side()}, .k = k, .seed = 0});
  }

  void layers() {
    const auto n = features();
    const auto geo = [t = table()] {
      TorchGenerator generator(0);
      return std::make_shared<GeoLinear>(t, Bias::yes, generator);
    };
    add("GeoLinear", geo, count::geo_linear(k));
    const auto dense = [n] {
      TorchGenerator generator(0);
      return std::make_shared<Linear>(n, n, generator);
    };
    add("Linear", dense, count::matmul(static_cast<double>(n)));
    const auto norm = [n](NormKind kind) {
      return [=] { return std::make_shared<Norm>(kind, n); };
    };
    add("Norm-rms", norm(NormKind::rms), count::rms_norm);
    add("Norm-layer", norm(NormKind::layer), count::layer_norm);
  }

  void activations() {
    for (const ActivationKind kind :
         {ActivationKind::psann, ActivationKind::phase_psann, ActivationKind::relu_sigmoid_psann,
          ActivationKind::relu, ActivationKind::tanh, ActivationKind::gelu,
          ActivationKind::mixed}) {
      const auto make = [kind, n = features()]() -> std::shared_ptr<Activation> {
        ActivationConfig config;
        config.types = {ActivationKind::psann, ActivationKind::relu};  // of mixed
        config.seed = 0;
        TorchGenerator generator(0);
        if (kind == ActivationKind::gelu) return std::make_shared<PlainActivation>(kind);
        return make_activation(kind, n, config, generator);
      };
      add("Activation-" + std::string(name(kind)), make, count::activation(kind));
    }
  }

  void blocks() {
    NetworkConfig config;
    config.connectivity.shape = {side(), side()};
    config.hidden_dim = features();
    const auto n = static_cast<double>(features());
    const BlockSize geo{
        static_cast<double>(rows()), n, n * k, n * k, count::geo_linear(k), config.norm,
        activation_size(config)};
    const BlockSize dense{static_cast<double>(rows()), n, n * n, 0, count::matmul(n), config.norm,
                          activation_size(config)};
    const auto geo_block = [config, t = table()] {
      TorchGenerator generator(0);
      return std::make_shared<GeoBlock>(config, t, 0, 0, generator);
    };
    add("GeoBlock", geo_block,
        [geo, p = precision_](const Subject&, Pass pass) { return block_cost(geo, p, pass); });
    const auto dense_block = [config] {
      TorchGenerator generator(0);
      return std::make_shared<DenseBlock>(config, generator);
    };
    add("DenseBlock", dense_block,
        [dense, p = precision_](const Subject&, Pass pass) { return block_cost(dense, p, pass); });
  }

  Cases& out_;
  Precision precision_;
  bool full_;
};

// A network's training step. x and t are inputs of the recorded step, as a trainer has them.
struct Training {
  Training(const NetworkConfig& config, DType dtype)
      : generator(0), net(make_network(config, generator)) {
    net->to(dtype);
    block = std::make_unique<ParameterBlock>(net->parameters());
    optimizer = std::make_unique<AdamW>(*block);
  }
  Tensor step(const Tensor& x, const Tensor& t) {
    Tape tape;
    block->watch(tape);
    Tensor loss = mse((*net)(x, Mode::train), t);
    block->backward(tape, loss);
    optimizer->step();
    return loss;
  }
  TorchGenerator generator;
  std::unique_ptr<Network> net;
  std::unique_ptr<ParameterBlock> block;
  std::unique_ptr<AdamW> optimizer;
};

// x and t have the type of the parameters also where a network computes in bf16.
Prepared prepare(const NetworkConfig& config, int64_t batch, Precision precision) {
  const auto training = std::make_shared<Training>(config, precision.activations);
  Prepared out;
  out.inputs = {random_tensor({batch, config.input_dim}, precision.parameters),
                random_tensor({batch, config.output_dim}, precision.parameters)};
  out.parameters = training->net->parameter_count();
  out.cost = step_cost(config, batch, out.parameters, precision);
  out.call = [training](const Tensors& in) { return Tensors{training->step(in[0], in[1])}; };
  return out;
}

struct StepSize {
  int64_t side, depth, k, batch;
};

}  // namespace

void add_ceilings(Cases& out, Precision precision, Sizes sizes) {
  const bool full = sizes == Sizes::full;
  const auto copy = [=] {
    const Tensor from = random_tensor({full ? 1 << 26 : 1 << 8}, precision.activations);
    Prepared p;
    p.cost.bytes = 2 * bytes_of(from);
    p.call = [from, to = Tensor(from.shape(), from.dtype())](const Tensors&) mutable {
      to.assign(from);
      return Tensors{};
    };
    return p;
  };
  const auto product = [=] {
    const Tensor from = random_tensor({1}, precision.activations);
    const int64_t n = !full ? 8 : from.device() == Device::cpu ? 2048 : 8192;
    const Tensor a = random_tensor({n, n}, precision.activations);
    Prepared p;
    p.cost = {3 * bytes_of(a), 2 * static_cast<double>(n * n * n)};
    p.call = [a](const Tensors&) { return Tensors{matmul(a, a)}; };
    return p;
  };
  out.push_back({"ceiling/copy", copy});
  out.push_back({"ceiling/matmul", product});
}

void add_updates(Cases& out, Precision precision, Sizes sizes) {
  const Shape shape{sizes == Sizes::full ? 1 << 24 : 1 << 6};
  const auto add = [&](const char* name, double arrays, double operations,
                       const std::function<void(Tensors&)>& f) {
    const auto prepared = [=] {
      const auto x = std::make_shared<Tensors>();
      for (int i = 0; i < 4; ++i) x->push_back(random_tensor(shape, precision.parameters, 0.1));
      x->push_back(Tensor::from(std::vector<double>{1e-3, 0}, {2}));
      x->push_back(Tensor::scalar(2, precision.parameters));
      Prepared p;
      p.cost = {arrays * bytes_of(x->at(0)), operations * static_cast<double>(shape.numel())};
      p.call = [x, f](const Tensors&) {
        f(*x);
        return Tensors{};
      };
      return p;
    };
    out.push_back({std::string("op/") + name, prepared});
  };
  add("adam_update", 7, count::adam,
      [](Tensors& x) { adam_update(x[0], x[1], x[2], x[3], x[4], {}); });
  add("sgd_update", 5, count::sgd, [](Tensors& x) { sgd_update(x[0], x[1], x[2], x[4], {}); });
  add("clip_update", 2, count::clip, [](Tensors& x) { clip_update(x[1], x[5], 1.0); });
  add("pack", 2, 0, [half = shape[0] / 2](Tensors& x) {
    pack(x[0], {x[1].rows(0, half), x[1].rows(half, half)});
  });
  const auto tally = [=] {
    Tensor words = Tensor::zeros({9}, DType::f64), value = Tensor::scalar(1, precision.parameters);
    Prepared p;
    p.cost = {2 * bytes_of(words) + 2 * bytes_of(value), count::tally};
    p.call = [words, value](const Tensors&) mutable {
      tally_update(words, value, value, 1, OnNonfinite::skip);
      return Tensors{};
    };
    return p;
  };
  out.push_back({"op/tally_update", tally});
}

void add_modules(Cases& out, Precision precision, Sizes sizes) {
  ModuleCases(out, precision, sizes).all();
}

void add_steps(Cases& out, Precision precision, Sizes sizes) {
  const std::vector<StepSize> all = sizes == Sizes::full ? std::vector<StepSize>{{8, 6, 8, 256},
                                                                                 {16, 8, 8, 256},
                                                                                 {16, 8, 32, 256},
                                                                                 {64, 8, 8, 1024}}
                                                         : std::vector<StepSize>{{4, 1, 3, 2}};
  for (const StepSize& s : all) {
    NetworkConfig geo;
    geo.connectivity.shape = {s.side, s.side};
    geo.connectivity.k = s.k;
    geo.connectivity.seed = 0;
    geo.depth = s.depth;
    const std::string side = std::to_string(s.side);
    const std::string size = "-" + side + "x" + side + "-d" + std::to_string(s.depth) + "-k" +
                             std::to_string(s.k) + "-b" + std::to_string(s.batch);
    const auto models =
        contenders(checked(geo), {.baselines = {"dense_relu", "dense_resrelu", "dense_respsann"}});
    for (const Contender& model : models)
      out.push_back({"step/" + model.name + size,
                     [=, config = model.config] { return prepare(config, s.batch, precision); }});
  }
}

}  // namespace sinew::tools
