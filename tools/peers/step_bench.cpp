// Time of one training step, for tools/peers/run.py: forward, mean squared error, backward, AdamW,
// as a replayed Step. Prints one JSON line.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "sinew/nn.h"
#include "sinew/optim.h"
#include "sinew/step.h"

using namespace sinew;

namespace {

struct Flags {
  std::string model = "geo", shape = "16x16", activation = "psann";
  int64_t depth = 8, k = 8, batch = 256, warmup = 5, steps = 30;
  int threads = 2;
};

NetworkConfig network_config(const Flags& flags) {
  const std::string geo = "{\"shape\": \"" + flags.shape +
                          "\", \"depth\": " + std::to_string(flags.depth) +
                          ", \"k\": " + std::to_string(flags.k) + ", \"activation_type\": \"" +
                          flags.activation + "\", \"seed\": 0}";
  NetworkConfig config = parse_network_config(geo);
  if (flags.model == "geo") return config;
  TorchGenerator generator(0);
  const int64_t target = make_network(config, generator)->parameter_count();
  const int64_t n = config.connectivity.shape[0] * config.connectivity.shape[1];
  config.input_dim = n;
  config.model = flags.model == "dense_relu" ? ModelKind::mlp : ModelKind::dense_residual;
  config.activation =
      flags.model == "dense_respsann" ? ActivationKind::psann : ActivationKind::relu;
  const DenseNetSize size{n, 1, flags.depth, norm_multiplier("rms"),
                          activation_multiplier(name(config.activation))};
  config.hidden_dim = config.model == ModelKind::mlp
                          ? match_mlp_width(target, size).width
                          : match_dense_residual_width(target, size).width;
  return config;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"Time of one training step"};
  app.add_option("--model", flags.model, "geo, dense_relu, dense_resrelu or dense_respsann")
      ->check(CLI::IsMember({"geo", "dense_relu", "dense_resrelu", "dense_respsann"}));
  app.add_option("--shape", flags.shape, "grid, HxW");
  app.add_option("--depth", flags.depth, "blocks");
  app.add_option("--k", flags.k, "inputs of an output cell");
  app.add_option("--batch", flags.batch, "rows");
  app.add_option("--activation", flags.activation, "of the geo-sparse net");
  app.add_option("--threads", flags.threads, "CPU threads");
  app.add_option("--warmup", flags.warmup, "steps before timing");
  app.add_option("--steps", flags.steps, "timed steps")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  set_threads(flags.threads);
  const NetworkConfig config = network_config(flags);
  TorchGenerator generator(0);
  const auto net = make_network(config, generator);
  const int64_t parameters = net->parameter_count();
  ParameterBlock block(net->parameters());
  AdamW optimizer(block);
  Step step([&](const std::vector<Tensor>& batch) {
    Tape tape;
    block.watch(tape);
    const Tensor loss = mse((*net)(batch[0], Mode::train), batch[1]);
    block.backward(tape, loss);
    optimizer.step();
    return std::vector<Tensor>{loss};
  });

  const int64_t n = config.connectivity.shape[0] * config.connectivity.shape[1];
  std::vector<float> values(static_cast<size_t>(flags.batch * n));
  for (float& v : values) v = generator.uniform(-1, 1);
  const Tensor x = Tensor::from(values, {flags.batch, n});
  values.resize(static_cast<size_t>(flags.batch));
  const Tensor t = Tensor::from(values, {flags.batch, 1});
  std::vector<double> times;
  for (int64_t i = -std::max<int64_t>(flags.warmup, 2); i < flags.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step({x, t});
    const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
    if (i >= 0) times.push_back(ms.count());
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"median_ms\": %.4f, \"min_ms\": %.4f, \"max_ms\": %.4f, \"parameters\": %lld}\n",
              times[times.size() / 2], times.front(), times.back(),
              static_cast<long long>(parameters));
}
