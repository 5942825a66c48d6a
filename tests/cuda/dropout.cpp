// Masks on the GPU are the CPU's, bit for bit, also after the counter's low word has overflowed and
// in replayed steps.
#include <doctest/doctest.h>

#include "cuda/parity.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/step.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// Two draws and the state after them.
std::vector<std::vector<double>> drawn(Device device, const Shape& shape, double p, DType dtype) {
  const OnDevice scope(device);
  set_mask_state({5, 0x80000007u, 0xffffffffu, 0xfffffff0u});
  std::vector<std::vector<double>> out;
  for (int i = 0; i < 2; ++i) {
    const Tensor x = cast(Tensor::full(shape, 0.7), dtype);
    for (const Tensor& y : {dropout(x, p), shape.rank() ? drop_path(x, p) : x})
      out.push_back(cast(y, DType::f32).values());
  }
  const std::vector<uint32_t> state = mask_state();
  out.emplace_back(state.begin(), state.end());
  return out;
}

}  // namespace

TEST_CASE("cuda: masks are the CPU's") {
  std::vector<Shape> shapes = {{}, {3, 5, 7}, {1, 4}, {0, 4}, {4, 0}};
  for (const int64_t n : parity_sizes) shapes.push_back({n});
  for (const Shape& shape : shapes)
    for (const double p : {0.1, 0.5, 0.9}) {
      const auto expected = drawn(Device::cpu, shape, p, DType::f32);
      CHECK(drawn(Device::cuda, shape, p, DType::f32) == expected);
      const auto rounded = drawn(Device::cuda, shape, p, DType::bf16);
      REQUIRE(rounded.size() == expected.size());
      for (size_t t = 0; t + 1 < rounded.size(); ++t)
        for (size_t i = 0; i < rounded[t].size(); ++i)
          CHECK((rounded[t][i] == 0) == (expected[t][i] == 0));
      CHECK(rounded.back() == expected.back());
    }
}

TEST_CASE("cuda: dropout's values and gradients") {
  const auto seeded = [](auto f) {
    return [f](const std::vector<Tensor>& in) {
      seed_masks(11);
      return f(in[0]);
    };
  };
  Parity p;
  p.ulps = 2;
  p.roundings = 1;
  for (const int64_t n : parity_sizes) {
    p.inputs = {{{n}}};
    p.f = seeded([](const Tensor& x) { return dropout(x, 0.3); });
    check_parity("dropout", p);
  }
  p.inputs = {{{33, 5}}};
  p.f = seeded([](const Tensor& x) { return drop_path(x, 0.3); });
  check_parity("drop_path", p);
}

TEST_CASE("cuda: a replayed step draws new masks, the eager ones") {
  const auto draws = [](Device device) {
    const OnDevice scope(device);
    seed_masks(3);
    Step step([](const std::vector<Tensor>& in) { return std::vector{dropout(in[0], 0.5)}; });
    std::vector<std::vector<double>> out;
    for (int i = 0; i < 5; ++i) out.push_back(step({Tensor::full({65}, 1)})[0].values());
    return out;
  };
  const auto got = draws(Device::cuda);
  CHECK(got == draws(Device::cpu));
  CHECK(got[3] != got[4]);
}
