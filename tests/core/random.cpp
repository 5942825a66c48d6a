// Golden values of PyTorch's CPU generator and of NumPy 2.4's default_rng.
#include "sinew/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "sinew/error.h"

using namespace sinew;
using Ints = std::vector<int32_t>;

TEST_CASE("TorchGenerator is MT19937 of the seed's low 32 bits") {
  for (int64_t seed : {int64_t{0}, int64_t{5489}, int64_t{-1}, TorchGenerator::unseeded}) {
    TorchGenerator g(seed);
    std::mt19937 reference(static_cast<uint32_t>(seed));
    bool equal = true;
    for (int i = 0; i < 3000; ++i) equal &= g.u32() == reference();
    CHECK(equal);
  }
  TorchGenerator a(-1), b(0xffffffff), c;
  CHECK(a.u32() == b.u32());
  CHECK(c.u32() == TorchGenerator(67280421310721).u32());
  // The standard's own check: draw 10000 of the default seed (ISO C++ [rand.predef]).
  TorchGenerator d(5489);
  for (int i = 0; i < 9999; ++i) d.u32();
  CHECK(d.u32() == 4123659995u);
}

TEST_CASE("TorchGenerator: wider draws take the high half first") {
  TorchGenerator a(3), b(3);
  const uint64_t high = b.u32(), low = b.u32();
  CHECK(a.u64() == (high << 32 | low));
  const uint64_t next = b.u64();
  CHECK(a.i63() == static_cast<int64_t>(next & 0x7fffffffffffffffu));
  CHECK(a.below(1000) == b.u32() % 1000);
}

TEST_CASE("TorchGenerator: uniform and permutation") {
  TorchGenerator g(0);
  for (float expected : {0.49625659f, 0.76822180f, 0.08847743f})
    CHECK(std::abs(g.uniform(0, 1) - expected) < 1e-8f);
  g.seed(0);
  CHECK(g.permutation(10) == Ints{4, 1, 7, 5, 3, 9, 0, 8, 6, 2});
  // weight[0, 0] and bias[0] of a 16 x 16, k 8 geo-sparse layer
  g.seed(0);
  const float bound = 1 / std::sqrt(8.0f);
  CHECK(std::abs(g.uniform(-bound, bound) - -0.00264699f) < 1e-8f);
  for (int i = 1; i < 16 * 8; ++i) g.u32();
  CHECK(std::abs(g.uniform(-bound, bound) - -0.12368477f) < 1e-8f);
}

TEST_CASE("TorchGenerator: random layout of a mixed activation") {
  CHECK(TorchGenerator(0).permutation(8) == Ints{4, 0, 7, 3, 2, 5, 1, 6});
  CHECK(TorchGenerator().permutation(8) == Ints{6, 0, 7, 3, 5, 2, 1, 4});
}

TEST_CASE("TorchGenerator: permutations of 0 and 1 items draw nothing") {
  TorchGenerator a(1), b(1);
  CHECK(a.permutation(0).empty());
  CHECK(a.permutation(1) == Ints{0});
  CHECK(a.u32() == b.u32());
}

TEST_CASE("TorchGenerator: the state continues the stream") {
  for (int drawn : {0, 1, 623, 624, 625, 1000}) {
    TorchGenerator a(42), b(7);
    for (int i = 0; i < drawn; ++i) a.u32();
    b.set_state(a.state());
    bool equal = true;
    for (int i = 0; i < 2000; ++i) equal &= a.u32() == b.u32();
    CHECK(equal);
  }
}

TEST_CASE("epoch_permutation draws a worker seed, then the seed of the order") {
  TorchGenerator global(9), same(9);
  for (int epoch = 0; epoch < 2; ++epoch) {
    same.u64();
    const int64_t seed = same.i63();
    CHECK(epoch_permutation(global, 37) == TorchGenerator(seed).permutation(37));
  }
  CHECK(global.u32() == same.u32());
}

TEST_CASE("TorchGenerator: errors") {
  TorchGenerator g(0);
  CHECK_THROWS_WITH_AS(g.below(0), "below: bound outside [1, 2^28) (0)", Error);
  CHECK_THROWS_WITH_AS(g.below(1 << 28), "below: bound outside [1, 2^28) (268435456)", Error);
  CHECK_THROWS_WITH_AS(g.permutation(-1), "permutation: size outside [0, 2^31) (-1)", Error);
  CHECK_THROWS_WITH_AS(NumpyGenerator(0).permutation(int64_t{1} << 31),
                       "permutation: size outside [0, 2^31) (2147483648)", Error);
  CHECK_THROWS_WITH_AS(g.set_state({1, 2}), "set_state: needs 625 words (2)", Error);
  auto state = g.state();
  state.back() = 625;
  CHECK_THROWS_WITH_AS(g.set_state(state), "set_state: position above 624 (625)", Error);
}

TEST_CASE("NumpyGenerator: 64-bit draws for seeds of one and two words") {
  struct {
    int64_t seed;
    uint64_t first, second;
  } const cases[] = {
      {0, 0xa30febcfd9c2825f, 0x4510bdf882d9d721},
      {1, 0x8306bdf37922e4ff, 0xf35196bbc152a866},
      {12345, 0x3a32b18db2ffc19d, 0x51171315c9e4c4de},
      {1099511627779, 0xc60e533fbbb0872c, 0xfef0825f71d66341},
      {INT64_MAX, 0x2ceb59116fb27514, 0x784d3e7d390dc57c},
      {-1, 0xae163a7a8c47568f, 0xd86659f5f3382359},  // 2^64 - 1
      {-5, 0xa3c8efb80bdf04fc, 0x8df5211490f4f5b6},
  };
  for (const auto& c : cases) {
    NumpyGenerator g(c.seed);
    CHECK(g.u64() == c.first);
    CHECK(g.u64() == c.second);
  }
}

TEST_CASE("NumpyGenerator: 32-bit draws keep the high half past 64-bit draws") {
  NumpyGenerator g(5);
  CHECK(g.u32() == 0xabb8e5a8u);
  CHECK(g.u64() == 0xced5352505cc99f5u);
  CHECK(g.u32() == 0xce14abeeu);
  CHECK(g.u32() == 0x7806adc0u);
}

TEST_CASE("NumpyGenerator: uniform") {
  NumpyGenerator g(0);
  CHECK(g.uniform(-2, 2) == 0.5478467492858172);
  CHECK(g.uniform(-2, 2) == -0.9208531449445188);
  CHECK(g.uniform(-2, 2) == -1.8361059042552212);
}

// The tables come from this machine's exp, log and sqrt, hence the tolerance of a few roundings;
// a single wrong rejection would shift the whole stream.
TEST_CASE("NumpyGenerator: 200000 normals, 58 of them from the tail") {
  NumpyGenerator g(0);
  std::vector<double> z(200000);
  for (double& v : z) v = g.normal();
  const std::pair<size_t, double> expected[] = {
      {0, 0.1257302210933933},       {1, -0.1321048632913019},       {2, 0.6404226504432821},
      {99999, -0.49541294309578066}, {199999, -0.26553977625065545}, {36758, 4.731957688635529},
      {169940, -4.593990195395772}};
  for (const auto& [i, value] : expected) CHECK(std::abs(z[i] - value) < 1e-15 * std::abs(value));
  CHECK(std::max_element(z.begin(), z.end()) - z.begin() == 36758);
  CHECK(std::min_element(z.begin(), z.end()) - z.begin() == 169940);
  CHECK(std::count_if(z.begin(), z.end(), [](double v) { return std::abs(v) > 3.65415288536; }) ==
        58);
  // a wrong sign in the tail would change the sum by more than 7; rounding by far less than 1e-8
  CHECK(std::abs(std::accumulate(z.begin(), z.end(), 0.0) - 26.135110527473202) < 1e-8);
  CHECK(g.u64() == 0x29840d98b08f0296);
}

TEST_CASE("NumpyGenerator: permutations") {
  CHECK(NumpyGenerator(0).permutation(10) == Ints{4, 6, 2, 7, 3, 5, 9, 0, 8, 1});
  NumpyGenerator g(12345);
  const Ints p = g.permutation(1000);
  CHECK(Ints(p.begin(), p.begin() + 8) == Ints{279, 568, 569, 583, 55, 795, 669, 361});
  CHECK(Ints(p.end() - 4, p.end()) == Ints{789, 222, 397, 413});
  CHECK(g.u64() == 0xc59de28c2b6f09af);
  NumpyGenerator none(3);
  CHECK(none.permutation(0).empty());
  CHECK(none.permutation(1) == Ints{0});
  CHECK(none.u64() == NumpyGenerator(3).u64());
}

TEST_CASE("NumpyGenerator: permutations and normals interleaved") {
  NumpyGenerator g(7);
  CHECK(g.permutation(5) == Ints{2, 0, 4, 1, 3});
  CHECK(g.permutation(6) == Ints{0, 4, 1, 3, 5, 2});
  CHECK(g.normal() == doctest::Approx(-0.99164655).epsilon(1e-7));
  CHECK(g.normal() == doctest::Approx(0.0601436).epsilon(1e-6));
  CHECK(g.permutation(7) == Ints{4, 2, 0, 3, 6, 1, 5});
  CHECK(g.normal(1.5, 2) == doctest::Approx(2.21377402).epsilon(1e-8));
  CHECK(g.normal(1.5, 2) == doctest::Approx(1.7108285).epsilon(1e-7));
}
