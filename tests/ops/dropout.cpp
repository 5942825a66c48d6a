#include <doctest/doctest.h>

#include <cmath>

#include "core/philox.h"
#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/step.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// Decision i of a mask that starts at `counter`.
bool keeps(uint64_t seed, uint64_t counter, size_t i, double p) {
  counter += i / 4;
  const PhiloxCounter words =
      philox({{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}},
             {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}});
  return open_uniform(words.word[i % 4]) >= static_cast<float>(p);
}

Tensor gradient(const Function& f, Tensor x, const Tensor& dy, Tensor* y) {
  Tape tape;
  tape.watch(x);
  *y = f({x});
  GradientOptions options;
  options.cotangent = dy;
  return tape.gradients(*y, {x}, options)[0];
}

}  // namespace

TEST_CASE("dropout: the mask is Philox's stream, one word per element, whole blocks per call") {
  const uint64_t seed = 0xfedcba9876543210u;
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    seed_masks(seed);
    uint64_t counter = 0;
    for (int64_t n : {0, 1, 31, 33, 4097})
      for (double p : {0.1, 0.75}) {
        CAPTURE(n);
        const Tensor x = random_f32({n}, 1, 0.5, 2);
        const auto vx = x.host<float>(), y = dropout(x, p).host<float>();
        const auto wide = dropout(cast(x, DType::f64), p).host<double>();
        const uint64_t blocks = static_cast<uint64_t>((n + 3) / 4);
        for (size_t i = 0; i < vx.size(); ++i) {
          const float kept = vx[i] * static_cast<float>(1 / (1 - p));
          CHECK(y[i] == (keeps(seed, counter, i, p) ? kept : 0.0f));
          const bool next = keeps(seed, counter + blocks, i, p);
          CHECK(wide[i] == (next ? static_cast<double>(vx[i]) * (1 / (1 - p)) : 0.0));
        }
        counter += 2 * blocks;
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("drop_path: one decision per row") {
  seed_masks(7);
  uint64_t counter = 0;
  for (int64_t rows : {1, 6, 33})
    for (int64_t n : {0, 1, 5, 300}) {
      const Tensor x = random_f32({rows, n}, 1, 0.5, 2);
      const auto vx = x.host<float>(), y = drop_path(x, 0.4).host<float>();
      for (size_t i = 0; i < vx.size(); ++i) {
        const float kept = vx[i] * static_cast<float>(1 / (1 - 0.4));
        CHECK(y[i] == (keeps(7, counter, i / static_cast<size_t>(n), 0.4) ? kept : 0.0f));
      }
      counter += static_cast<uint64_t>((rows + 3) / 4);
    }
}

TEST_CASE("dropout: the rate and the mean") {
  seed_masks(3);
  const int64_t n = 100000;
  const Tensor y = dropout(Tensor::full({n}, 1, DType::f64), 0.3);
  const double kept = sum(cast(less(Tensor::scalar(0, DType::f64), y), DType::f64)).value();
  const double deviation = std::sqrt(0.3 * 0.7 * static_cast<double>(n));
  CHECK(std::abs(kept - 0.7 * static_cast<double>(n)) < 4 * deviation);
  CHECK(std::abs(mean(y).value() - kept / 0.7 / static_cast<double>(n)) < 1e-12);
}

TEST_CASE("dropout: the backward uses the mask of the forward, at any order") {
  const Tensor x = random({50, 3}, 1, 0.5, 2), dy = random({50, 3}, 2, 0.5, 2);
  for (const Function& f : {Function([](const auto& in) { return dropout(in[0], 0.5); }),
                            Function([](const auto& in) { return drop_path(in[0], 0.5); })}) {
    Tensor y;
    const auto dx = gradient(f, x, dy, &y).host<double>();
    const auto vx = x.host<double>(), vy = y.host<double>(), vdy = dy.host<double>();
    for (size_t i = 0; i < vx.size(); ++i) CHECK(dx[i] == vdy[i] * (vy[i] == 0 ? 0 : 2));
    // seeded alike on every call, the function is fixed and can be checked by differences
    const Function fixed = [&](const std::vector<Tensor>& in) {
      seed_masks(11);
      return f({square(in[0])});
    };
    CHECK(gradient_error(fixed, {x}) < 1e-6);
    CHECK(second_order_error(fixed, {x}) < 1e-6);
  }
}

TEST_CASE("dropout: a replayed step draws new masks, the same as eager calls") {
  const Tensor x = Tensor::full({40}, 1);
  std::vector<std::vector<float>> eager, stepped;
  seed_masks(5);
  for (int call = 0; call < 6; ++call) eager.push_back(dropout(x, 0.5).host<float>());
  Step step([](const std::vector<Tensor>& in) { return std::vector<Tensor>{dropout(in[0], 0.5)}; });
  seed_masks(5);
  for (int call = 0; call < 6; ++call) stepped.push_back(step({x})[0].host<float>());
  CHECK(stepped == eager);
  CHECK(eager[4] != eager[5]);
  seed_masks(5);  // reaches the recorded step
  CHECK(step({x})[0].host<float>() == eager[0]);
}

TEST_CASE("dropout: the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_f32({333, 101}, 1);
  std::vector<std::vector<float>> one;
  for (int count : {1, 2, 3}) {
    set_threads(count);
    seed_masks(9);
    const std::vector<std::vector<float>> got{dropout(x, 0.5).host<float>(),
                                              drop_path(x, 0.5).host<float>()};
    if (count == 1) one = got;
    CHECK(got == one);
  }
  set_threads(before);
}

TEST_CASE("dropout: nothing dropped and errors") {
  const Tensor x({2, 3});
  CHECK(dropout(x, 0).same_storage(x));
  CHECK(drop_path(x, 0).same_storage(x));
  CHECK_THROWS_WITH_AS(dropout(x, 1), "dropout: p is not in [0, 1) (1.000000)", Error);
  CHECK_THROWS_WITH_AS(dropout(x, -0.5), "dropout: p is not in [0, 1) (-0.500000)", Error);
  CHECK_THROWS_WITH_AS(drop_path(x, 1), "drop_path: p is not in [0, 1) (1.000000)", Error);
  CHECK_THROWS_WITH_AS(drop_path(Tensor(Shape{}), 0.1), "drop_path: x has no axis", Error);
  CHECK_THROWS_WITH_AS(dropout(Tensor(), 0.1), "dropout: tensor is undefined", Error);
  Step step([&](const std::vector<Tensor>&) {
    seed_masks(1);
    return std::vector<Tensor>{};
  });
  (void)step({x});
  CHECK_THROWS_WITH_AS(step({x}), "tensor: host access while a step is being recorded", Error);
}
