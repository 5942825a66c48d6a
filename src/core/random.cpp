// TorchGenerator: MT19937, x[i] = x[i+397] ^ (top bit of x[i] | low 31 bits of x[i+1]) A, indices
// mod 624, twisted one word at a time just before it is put out: a generator that is seeded anew
// for a few draws pays for no more.
// NumpyGenerator: SeedSequence hashes the seed into 256 bits, PCG64 steps s = s M + inc (mod 2^128)
// and puts out rotr(hi ^ lo, top 6 bits); normals by a 256-layer ziggurat.
#include "sinew/random.h"

#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "sinew/error.h"

namespace sinew {
namespace {

std::vector<int32_t> identity(int64_t m) {
  if (m < 0 || m > INT32_MAX)
    throw Error("permutation: size outside [0, 2^31) (" + std::to_string(m) + ")");
  std::vector<int32_t> p(static_cast<size_t>(m));
  std::iota(p.begin(), p.end(), 0);
  return p;
}

}  // namespace

void TorchGenerator::seed(int64_t value) {
  word_[0] = static_cast<uint32_t>(value);
  for (uint32_t i = 1; i < words; ++i)
    word_[i] = 1812433253u * (word_[i - 1] ^ (word_[i - 1] >> 30)) + i;
  position_ = 0;
}

uint32_t TorchGenerator::u32() {
  if (position_ == words) position_ = 0;
  const uint32_t i = position_++;
  const uint32_t next = word_[i + 1 < words ? i + 1 : 0];
  const uint32_t far = word_[i + 397 < words ? i + 397 : i + 397 - words];
  const uint32_t joined = (word_[i] & 0x80000000u) | (next & 0x7fffffffu);
  uint32_t y = word_[i] = far ^ (joined >> 1) ^ (joined & 1 ? 0x9908b0dfu : 0);
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint64_t TorchGenerator::u64() {
  const uint64_t high = u32();
  return (high << 32) | u32();
}

int64_t TorchGenerator::i63() { return static_cast<int64_t>(u64() & INT64_MAX); }

uint32_t TorchGenerator::below(int64_t m) {
  if (m < 1 || m >= int64_t{1} << 28)
    throw Error("below: bound outside [1, 2^28) (" + std::to_string(m) + ")");
  return u32() % static_cast<uint32_t>(m);
}

float TorchGenerator::uniform(float a, float b) {
  const double x = (u32() & 0xffffffu) * 0x1p-24;
  return static_cast<float>(x * static_cast<double>(b - a) + static_cast<double>(a));
}

std::vector<int32_t> TorchGenerator::permutation(int64_t m) {
  std::vector<int32_t> p = identity(m);
  for (size_t i = 0; i + 1 < p.size(); ++i)
    std::swap(p[i], p[i + u32() % static_cast<uint32_t>(p.size() - i)]);
  return p;
}

std::vector<uint32_t> TorchGenerator::state() const {
  std::vector<uint32_t> out(word_.begin(), word_.end());
  out.push_back(position_);
  return out;
}

void TorchGenerator::set_state(const std::vector<uint32_t>& state) {
  if (state.size() != words + 1)
    throw Error("set_state: needs 625 words (" + std::to_string(state.size()) + ")");
  if (state[words] > words)
    throw Error("set_state: position above 624 (" + std::to_string(state[words]) + ")");
  for (uint32_t i = 0; i < words; ++i) word_[i] = state[i];
  position_ = state[words];
}

std::vector<int32_t> epoch_permutation(TorchGenerator& global, int64_t n) {
  global.u64();
  return TorchGenerator(global.i63()).permutation(n);
}

namespace {

// SeedSequence's hash of one word: two constants, one running, one to update it.
struct Hash {
  uint32_t running;
  uint32_t multiplier;
  uint32_t operator()(uint32_t v) {
    v ^= running;
    running *= multiplier;
    v *= running;
    return v ^ (v >> 16);
  }
};

uint32_t mix(uint32_t x, uint32_t y) {
  const uint32_t r = 0xca01f9ddu * x - 0x4973f715u * y;
  return r ^ (r >> 16);
}

// Four 64-bit words from a 64-bit seed. A seed has at most two 32-bit words, so that all of it
// fits the pool of four and a missing high word equals a zero one.
std::array<uint64_t, 4> seed_words(uint64_t seed) {
  std::array<uint32_t, 4> pool{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), 0,
                               0};
  Hash in{0x43b0d7e5u, 0x931e8875u}, out{0x8b51f9ddu, 0x58f38dedu};
  for (uint32_t& p : pool) p = in(p);
  for (size_t from = 0; from < 4; ++from)
    for (size_t to = 0; to < 4; ++to)
      if (from != to) pool[to] = mix(pool[to], in(pool[from]));
  std::array<uint64_t, 4> words;
  for (size_t i = 0; i < 4; ++i) {
    const uint64_t low = out(pool[2 * i % 4]);
    words[i] = low | static_cast<uint64_t>(out(pool[(2 * i + 1) % 4])) << 32;
  }
  return words;
}

constexpr double tail_start = 3.6541528853610088;   // R: where the lowest layer's tail begins
constexpr double layer_area = 0.00492867323397466;  // of each of the 256 layers

struct Ziggurat {
  std::array<uint64_t, 256> accept;  // draws below this lie inside the curve for sure
  std::array<double, 256> width;     // per unit of a 52-bit draw
  std::array<double, 256> height;    // exp(-x^2 / 2) at the layer's edge

  Ziggurat() {
    const double edge = std::exp(-0.5 * tail_start * tail_start);
    accept[0] = static_cast<uint64_t>(tail_start * edge / layer_area * 0x1p52);
    width[0] = layer_area / edge * 0x1p-52;
    height[0] = 1;
    width[255] = tail_start * 0x1p-52;
    height[255] = edge;
    double outer = tail_start;
    for (size_t i = 254; i >= 1; --i) {
      const double x = std::sqrt(-2 * std::log(layer_area / outer + height[i + 1]));
      accept[i + 1] = static_cast<uint64_t>(x / outer * 0x1p52);
      width[i] = x * 0x1p-52;
      height[i] = std::exp(-0.5 * x * x);
      outer = x;
    }
    accept[1] = 0;
  }
};

}  // namespace

NumpyGenerator::NumpyGenerator(int64_t seed) {
  const auto w = seed_words(static_cast<uint64_t>(seed));
  increment_ = (static_cast<U128>(w[2]) << 64 | w[3]) << 1 | 1;
  state_ = increment_ + (static_cast<U128>(w[0]) << 64 | w[1]);
  u64();  // one step
}

uint64_t NumpyGenerator::u64() {
  constexpr U128 multiplier = static_cast<U128>(2549297995355413924u) << 64 | 4865540595714422341u;
  state_ = state_ * multiplier + increment_;
  const uint64_t folded = static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_);
  const unsigned turn = static_cast<unsigned>(state_ >> 122);
  return folded >> turn | folded << (-turn & 63);
}

uint32_t NumpyGenerator::u32() {
  if (has_half_) {
    has_half_ = false;
    return kept_half_;
  }
  const uint64_t r = u64();
  has_half_ = true;
  kept_half_ = static_cast<uint32_t>(r >> 32);
  return static_cast<uint32_t>(r);
}

double NumpyGenerator::uniform() { return static_cast<double>(u64() >> 11) * 0x1p-53; }

double NumpyGenerator::uniform(double a, double b) { return a + (b - a) * uniform(); }

double NumpyGenerator::normal(double mean, double deviation) { return mean + deviation * normal(); }

double NumpyGenerator::normal() {
  static const Ziggurat table;
  for (;;) {
    const uint64_t r = u64();
    const size_t layer = r & 255;
    const bool negative = r >> 8 & 1;
    const uint64_t size = r >> 9 & ((uint64_t{1} << 52) - 1);
    const double x = static_cast<double>(size) * table.width[layer];
    if (size < table.accept[layer]) return negative ? -x : x;
    if (layer > 0) {
      const double between = table.height[layer - 1] - table.height[layer];
      if (between * uniform() + table.height[layer] < std::exp(-0.5 * x * x))
        return negative ? -x : x;
      continue;
    }
    for (;;) {  // the tail; its sign comes from another bit of the same draw
      const double beyond = -std::log1p(-uniform()) * (1 / tail_start);
      const double level = -std::log1p(-uniform());
      if (2 * level > beyond * beyond)
        return size >> 8 & 1 ? -(tail_start + beyond) : tail_start + beyond;
    }
  }
}

std::vector<int32_t> NumpyGenerator::permutation(int64_t m) {
  std::vector<int32_t> p = identity(m);
  for (size_t i = p.size(); i-- > 1;) {
    uint32_t mask = static_cast<uint32_t>(i);
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    uint32_t j;
    do j = u32() & mask;
    while (j > i);
    std::swap(p[i], p[j]);
  }
  return p;
}

}  // namespace sinew
