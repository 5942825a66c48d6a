// One task per piece of decisions: their factors (0 or 1 / (1 - p)) first, then the products.
#include "ops/dropout.h"

#include "core/parallel.h"
#include "core/philox.h"

namespace sinew {
namespace {

uint64_t join(int32_t low, int32_t high) {
  return static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32 | static_cast<uint32_t>(low);
}
int32_t low_half(uint64_t v) { return static_cast<int32_t>(static_cast<uint32_t>(v)); }
int32_t high_half(uint64_t v) { return low_half(v >> 32); }

constexpr int64_t most_decisions = 1024;  // of a piece

// Factors of 4 * blocks decisions, from block `first` on.
template <class T>
void draw(const DropoutArgs& a, int64_t first, int64_t blocks, T* factors) {
  const PhiloxKey key{{static_cast<uint32_t>(a.ticket[0]), static_cast<uint32_t>(a.ticket[1])}};
  const uint64_t start = join(a.ticket[2], a.ticket[3]) + static_cast<uint64_t>(first);
  const float p = static_cast<float>(a.p);
  const T kept = static_cast<T>(1 / (1 - a.p));
  uint32_t words[4][most_decisions / 4];  // by word, so that the compiler makes SIMD of the loop
  for (int64_t b = 0; b < blocks; ++b) {
    const uint64_t counter = start + static_cast<uint64_t>(b);
    const PhiloxCounter drawn =
        philox({{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}}, key);
    for (int64_t k = 0; k < 4; ++k) words[k][b] = drawn.word[k];
  }
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t k = 0; k < 4; ++k)
      factors[4 * b + k] = open_uniform(words[k][b]) >= p ? kept : T(0);
}

template <class T>
void dropout_of(Cpu& device, const DropoutArgs& a) {
  const int64_t piece = a.inner == 1 ? most_decisions : 4;
  parallel_pieces(device, a.decisions, piece, 8 + a.inner, [&](int64_t first, int64_t count) {
    T factors[most_decisions];
    draw(a, first / 4, (count + 3) / 4, factors);
    const T* x = static_cast<const T*>(a.x) + first * a.inner;
    T* y = static_cast<T*>(a.y) + first * a.inner;
    if (a.inner == 1) {
      for (int64_t i = 0; i < count; ++i) y[i] = factors[i] == T(0) ? T(0) : x[i] * factors[i];
      return;
    }
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = i * a.inner; k < (i + 1) * a.inner; ++k)
        y[k] = factors[i] == T(0) ? T(0) : x[k] * factors[i];
  });
}

}  // namespace

template <>
void take_ticket(Cpu&, const TicketArgs& a) {
  for (int i = 0; i < 4; ++i) a.ticket[i] = a.state[i];
  const uint64_t counter = join(a.state[2], a.state[3]) + static_cast<uint64_t>(a.blocks);
  a.state[2] = low_half(counter);
  a.state[3] = high_half(counter);
}

template <>
void dropout(Cpu& device, const DropoutArgs& args) {
  if (args.dtype == DType::f64)
    dropout_of<double>(device, args);
  else
    dropout_of<float>(device, args);
}

}  // namespace sinew
