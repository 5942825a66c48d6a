// Philox 4x32-10: a counter-based generator, four words from a 128-bit counter and a 64-bit key
// with no state, so that each element of a mask is drawn on its own, alike on CPU and CUDA.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// Plain data only: this header is read by nvcc too.
#pragma once
#include <cstdint>

#include "core/hd.h"

namespace sinew {

struct PhiloxCounter {
  uint32_t word[4];
};

struct PhiloxKey {
  uint32_t word[2];
};

// Ten rounds of {hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)}; the key grows by
// a constant (the golden ratio, sqrt 3 - 1) between rounds.
SINEW_HD PhiloxCounter philox(PhiloxCounter c, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xd2511f53u} * c.word[0];
    const uint64_t p1 = uint64_t{0xcd9e8d57u} * c.word[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.word[1] ^ key.word[0], static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.word[3] ^ key.word[1], static_cast<uint32_t>(p0)}};
    key.word[0] += 0x9e3779b9u;
    key.word[1] += 0xbb67ae85u;
  }
  return c;
}

// (floor(u / 2^9) + 1/2) / 2^23: 2^23 equally spaced values, exact in f32, never 0 and never 1.
SINEW_HD float open_uniform(uint32_t u) { return (static_cast<float>(u >> 9) + 0.5f) * 0x1p-23f; }

}  // namespace sinew
