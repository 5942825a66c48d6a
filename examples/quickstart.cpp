// A geo-sparse network: one forward pass, then a training.
#include <cstdio>

#include "sinew/nn.h"
#include "sinew/train.h"

using namespace sinew;

int main(int argc, char**) {
  if (argc > 1) {
    std::fputs("quickstart takes no arguments\n", stderr);
    return 2;
  }
  // 4 blocks on an 8 x 8 grid, 8 inputs per cell, sine activations with learnable parameters.
  TorchGenerator generator(0);
  GeoSparseNet net(parse_network_config(R"({"shape": [8, 8], "k": 8, "output_dim": 1})"),
                   generator);
  const Tensor x = fan_in_uniform({256, 64}, 1, generator);           // uniform in [-1, 1)
  const Tensor target = mean(sin(affine(x, 3, 0)), {1}, Keep::dims);  // (256, 1)

  const Tensor y = net(x);  // no tape, so nothing is recorded: inference
  std::printf("%lld parameters; %s -> %s, y[0] = %.4f\n",
              static_cast<long long>(net.parameter_count()), x.shape().str().c_str(),
              y.shape().str().c_str(), y.host<float>()[0]);

  Trainer trainer(net, {x, target},
                  {.epochs = 50, .batch_size = 32, .schedule = {Curve::cosine, 1e-2}}, generator);
  fit(trainer, {.after_epoch = [](const Trainer& t) {
        const EpochRecord& last = t.history().back();
        if (last.epoch == 1 || last.epoch % 10 == 0)
          std::printf("epoch %2lld: loss %.2e\n", static_cast<long long>(last.epoch),
                      last.train_loss);
      }});
}
