// A geo-sparse network: one forward pass, one training step, and the same step recorded.
#include <cstdio>

#include "sinew/nn.h"
#include "sinew/optim.h"
#include "sinew/step.h"

using namespace sinew;

int main() {
  // 4 blocks on an 8 x 8 grid, 8 inputs per cell, sine activations with learnable parameters.
  TorchGenerator generator(0);
  GeoSparseNet net(parse_network_config(R"({"shape": [8, 8], "k": 8, "output_dim": 1})"),
                   generator);
  std::vector<float> values(32 * 64);
  for (float& v : values) v = generator.uniform(-1, 1);
  const Tensor x = Tensor::from(values, {32, 64});
  const Tensor target = mean(sin(affine(x, 3, 0)), {1}, Keep::dims);  // (32, 1)

  const Tensor y = net(x);  // no tape, so nothing is recorded: inference
  std::printf("%lld parameters; %s -> %s, y[0] = %.4f\n",
              static_cast<long long>(net.parameter_count()), x.shape().str().c_str(),
              y.shape().str().c_str(), y.host<float>()[0]);

  ParameterBlock block(net.parameters());
  AdamW optimizer(block, {.lr = 1e-2});
  const auto train = [&](const std::vector<Tensor>& batch) {
    Tape tape;
    block.watch(tape);
    const Tensor loss = mse(net(batch[0], Mode::train), batch[1]);
    block.backward(tape, loss);
    optimizer.step();
    return std::vector<Tensor>{loss};
  };
  std::printf("step   1: loss %.2e\n", train({x, target})[0].value());

  Step step(train);  // the same function, recorded at its second call and replayed from then on
  for (int i = 2; i < 100; ++i) step({x, target});
  std::printf("step 100: loss %.2e\n", step({x, target})[0].value());
}
