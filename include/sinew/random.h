// Random streams that repeat, bit for bit, those of PyTorch's CPU generator and of NumPy's
// default_rng, so that a seed gives the same numbers here and there.
// Seeds are 64-bit; negative ones wrap around (two's complement).
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace sinew {

// PyTorch's CPU generator: MT19937 started from the low 32 bits of the seed.
// Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998).
class TorchGenerator {
 public:
  static constexpr int64_t unseeded = 67280421310721;  // the seed of a generator never seeded

  explicit TorchGenerator(int64_t value = unseeded) { seed(value); }
  void seed(int64_t value);

  uint32_t u32();                               // the next output
  uint64_t u64();                               // two outputs, the first is the high half
  int64_t i63();                                // u64() without its top bit
  uint32_t below(int64_t m);                    // u32() mod m; throws unless 1 <= m < 2^28
  float uniform(float a, float b);              // one output: its low 24 bits / 2^24 * (b - a) + a
  std::vector<int32_t> permutation(int64_t m);  // of 0 .. m-1; throws unless 0 <= m < 2^31

  // 624 words and the position in them: everything, so that a checkpoint can continue the stream.
  std::vector<uint32_t> state() const;
  void set_state(const std::vector<uint32_t>& state);  // throws on a wrong size or position

 private:
  static constexpr uint32_t words = 624;
  std::array<uint32_t, words> word_;
  uint32_t position_;  // of the next output, 0 .. words
};

// The order in which a shuffling PyTorch DataLoader visits n rows in one epoch. Draws u64() (the
// seed of workers) and i63() from `global`; the order is the permutation of a generator seeded
// with the latter.
std::vector<int32_t> epoch_permutation(TorchGenerator& global, int64_t n);

// numpy.random.default_rng(seed): PCG64 (XSL-RR 128/64) started through SeedSequence.
// O'Neill, "PCG", HMC-CS-2014-0905; normals by the ziggurat of Marsaglia and Tsang,
// J. Stat. Softw. 5 (2000), with 256 layers.
class NumpyGenerator {
 public:
  explicit NumpyGenerator(int64_t seed);

  uint64_t u64();
  uint32_t u32();    // half of a 64-bit draw, the low half first; the other one is kept for later
  double uniform();  // [0, 1): the top 53 bits of u64() / 2^53
  double uniform(double a, double b);            // a + (b - a) uniform()
  double normal();                               // mean 0, standard deviation 1
  double normal(double mean, double deviation);  // mean + deviation normal()
  std::vector<int32_t> permutation(int64_t m);   // of 0 .. m-1; throws unless 0 <= m < 2^31

 private:
  __extension__ using U128 = unsigned __int128;
  U128 state_;
  U128 increment_;
  uint32_t kept_half_ = 0;
  bool has_half_ = false;
};

// Starts this thread's stream of masks (dropout and drop_path in ops.h: Philox 4x32-10, key = seed,
// counter from 0). Without a call the seed is 0. The state is device memory that each mask moves
// on, also in a recorded step, so seeding acts on recorded steps too. Throws while a Step records.
void seed_masks(uint64_t seed);
// Seed and counter as 4 words, so that a checkpoint can continue the stream. Host access, likewise.
std::vector<uint32_t> mask_state();
void set_mask_state(const std::vector<uint32_t>& state);  // throws unless it has 4 words

}  // namespace sinew
