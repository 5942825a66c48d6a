// Optimizer updates on the GPU against the CPU's, in f32, and inside a replayed step.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda/parity.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/step.h"

using namespace sinew;
using namespace sinew::test;

namespace {

Tensor drawn(int64_t n, uint32_t seed) {
  TorchGenerator generator(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = generator.uniform(-1, 1);
  return Tensor::from(values, {n});
}

using Blocks = std::vector<Tensor>;  // p, two of state, the clock
using Update = std::function<void(Blocks&, const Tensor& g)>;

enum class How { eager, replayed };

// The blocks after 20 updates.
std::vector<std::vector<double>> trained(Device device, int64_t n, const Update& update, How how) {
  const OnDevice scope(device);
  Blocks blocks = {drawn(n, 1), Tensor::zeros({n}), Tensor::zeros({n}),
                   Tensor::from(std::vector<double>{0.01, 0}, {2})};
  Step step([&](const std::vector<Tensor>& in) {
    update(blocks, in[0]);
    return std::vector<Tensor>{};
  });
  for (uint32_t i = 0; i < 20; ++i) {
    const Tensor g = drawn(n, 100 + i);
    if (how == How::replayed)
      step({g});
    else
      update(blocks, g);
  }
  std::vector<std::vector<double>> values;
  for (const Tensor& t : blocks) values.push_back(t.values());
  return values;
}

// Each step rounds a few times to f32, in another order than the CPU where the GPU fuses.
void check_update(const char* name, const Update& update) {
  for (const int64_t n : parity_sizes) {
    const auto expected = trained(Device::cpu, n, update, How::eager);
    const auto got = trained(Device::cuda, n, update, How::eager);
    for (size_t t = 0; t < got.size(); ++t) {
      REQUIRE(got[t].size() == expected[t].size());
      double largest = 0, worst = 0;
      for (size_t i = 0; i < got[t].size(); ++i) {
        largest = std::max(largest, std::abs(expected[t][i]));
        worst = std::max(worst, std::abs(got[t][i] - expected[t][i]));
      }
      INFO(name << " of " << n << ", block " << t << ": off by " << worst);
      CHECK(worst <= 20 * 8 * 0x1p-24 * largest);
    }
    CHECK(got.back() == std::vector<double>{0.01, 20});
    CHECK(trained(Device::cuda, n, update, How::replayed) == got);
  }
}

}  // namespace

TEST_CASE("cuda: 20 updates of Adam and SGD equal the CPU's, replayed ones the eager ones") {
  const auto adam = [](const AdamSettings& settings) {
    return [=](Blocks& b, const Tensor& g) { adam_update(b[0], g, b[1], b[2], b[3], settings); };
  };
  AdamSettings settings;
  check_update("adam", adam(settings));
  settings.beta1 = 0.3;  // the mean starts at the gradient's end
  settings.decay = 0.1;
  check_update("adam with decay", adam(settings));
  settings.decay = 0;
  settings.decoupled_decay = 0.2;
  check_update("adamw", adam(settings));

  const auto sgd = [](const SgdSettings& s) {
    return [=](Blocks& b, const Tensor& g) {
      Tensor velocity = s.momentum == 0 ? Tensor() : b[1];
      sgd_update(b[0], g, velocity, b[3], s);
    };
  };
  check_update("sgd", sgd({0, 0}));
  check_update("sgd with momentum and decay", sgd({0.9, 0.1}));
}

TEST_CASE("cuda: clip equals the CPU's") {
  const auto clipped = [](Device device, int64_t n, float norm) {
    const OnDevice scope(device);
    Tensor g = drawn(n, 3);
    clip_update(g, Tensor::from(std::vector<float>{norm}, {1}), 0.5);
    return g.values();
  };
  for (const int64_t n : parity_sizes)
    for (const float norm : {0.0f, 0.4f, 0.5f, 20.0f})
      CHECK(clipped(Device::cuda, n, norm) == clipped(Device::cpu, n, norm));
  CHECK(std::isnan(clipped(Device::cuda, 3, NAN)[2]));
}

TEST_CASE("cuda: an update whose go is 0 changes nothing") {
  const OnDevice cuda(Device::cuda);
  const Tensor go = Tensor::zeros({1}, DType::f64);
  const auto unchanged = [&](const Update& update) {
    const auto blocks = trained(Device::cuda, 300, update, How::replayed);
    CHECK(blocks[0] == drawn(300, 1).values());
    CHECK(blocks[1] == std::vector<double>(300, 0));
    CHECK(blocks[2] == std::vector<double>(300, 0));
    CHECK(blocks[3] == std::vector<double>{0.01, 0});
  };
  AdamSettings adam;
  adam.go = go;
  unchanged([&](Blocks& b, const Tensor& d) { adam_update(b[0], d, b[1], b[2], b[3], adam); });
  SgdSettings sgd;
  sgd.go = go;
  unchanged([&](Blocks& b, const Tensor& d) { sgd_update(b[0], d, b[1], b[3], sgd); });
}

TEST_CASE("cuda: the tally of steps is the CPU's") {
  const auto tallied = [](Device device, OnNonfinite choice) {
    const OnDevice scope(device);
    Tensor tally = Tensor::from(std::vector<double>{1, 0, 0, 0, 0, 0, 0, 0, 0}, {9});
    std::vector<double> out;
    for (const auto& [loss, norm] : std::vector<std::pair<double, double>>{
             {0.3, 2}, {0.25, INFINITY}, {1.1, 0.7}, {NAN, 3}, {-INFINITY, NAN}, {0.9, 5}}) {
      tally_update(tally, Tensor::scalar(loss), Tensor::scalar(norm), 7, choice);
      for (const double v : tally.values()) out.push_back(std::isnan(v) ? -1 : v);
    }
    return out;
  };
  for (const OnNonfinite choice : {OnNonfinite::stop, OnNonfinite::skip, OnNonfinite::ignore})
    CHECK(tallied(Device::cuda, choice) == tallied(Device::cpu, choice));
}

TEST_CASE("cuda: pack puts parts one after the other, more than one launch holds too") {
  const OnDevice cuda(Device::cuda);
  for (const int64_t count : {0, 1, 3, 160, 161, 330}) {
    std::vector<Tensor> parts;
    std::vector<double> expected;
    for (int64_t i = 0; i < count; ++i) {
      parts.push_back(drawn(i == 2 ? 5000 : i % 4, static_cast<uint32_t>(i)));
      for (const double v : parts.back().values()) expected.push_back(v);
    }
    Tensor flat({static_cast<int64_t>(expected.size())});
    pack(flat, parts);
    CHECK(flat.values() == expected);
  }
}

TEST_CASE("cuda: updates refuse bf16") {
  const OnDevice cuda(Device::cuda);
  Tensor p({4}, DType::bf16), none;
  Tensor clock = Tensor::from(std::vector<double>{0.1, 0}, {2});
  CHECK_THROWS_WITH_AS(adam_update(p, p, p, p, clock, {}),
                       "adam_update: p is bf16; parameters and gradients are f32", Error);
  CHECK_THROWS_WITH_AS(sgd_update(p, p, none, clock, {}),
                       "sgd_update: p is bf16; parameters and gradients are f32", Error);
  CHECK_THROWS_WITH_AS(clip_update(p, p, 1),
                       "clip_update: g is bf16; parameters and gradients are f32", Error);
}
