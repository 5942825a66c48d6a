// Known-answer vectors of Salmon et al. 2011 (Random123, philox4x32 with 10 rounds).
#include "core/philox.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace sinew;

TEST_CASE("philox: known answers") {
  struct {
    PhiloxCounter counter;
    PhiloxKey key;
    PhiloxCounter expected;
  } const cases[] = {
      {{{0, 0, 0, 0}}, {{0, 0}}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
      {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
       {{0xffffffff, 0xffffffff}},
       {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
      {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
       {{0xa4093822, 0x299f31d0}},
       {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
  };
  for (const auto& c : cases) {
    const PhiloxCounter out = philox(c.counter, c.key);
    for (int i = 0; i < 4; ++i) CHECK(out.word[i] == c.expected.word[i]);
  }
}

TEST_CASE("open_uniform: inside (0, 1) at both ends, symmetric, 2^23 steps") {
  CHECK(open_uniform(0) == 0x1p-24f);
  CHECK(open_uniform(511) == 0x1p-24f);
  CHECK(open_uniform(512) == 3 * 0x1p-24f);
  CHECK(open_uniform(0xffffffffu) == 1 - 0x1p-24f);
  CHECK(open_uniform(0x80000000u) == 0.5f + 0x1p-24f);
}

TEST_CASE("open_uniform of philox words has the moments of a uniform variable") {
  double sum = 0, squares = 0;
  const int blocks = 25000;
  for (uint32_t i = 0; i < blocks; ++i) {
    const PhiloxCounter out = philox({{i, 0, 0, 0}}, {{1, 2}});
    for (uint32_t word : out.word) {
      const double u = open_uniform(word);
      sum += u;
      squares += u * u;
    }
  }
  // four standard errors: sqrt(1/12 / 1e5) and sqrt(4/45 / 1e5)
  CHECK(std::abs(sum / (4 * blocks) - 0.5) < 4 * 9.13e-4);
  CHECK(std::abs(squares / (4 * blocks) - 1.0 / 3) < 4 * 9.43e-4);
}
