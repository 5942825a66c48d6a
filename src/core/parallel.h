// For *.cpu.cpp: splits n items over threads. Which thread runs an item never changes its result:
// kernels that sum make fixed partial sums per item and add them in order afterwards.
#pragma once
#include <cstdint>
#include <type_traits>

#include "core/exec.h"
#include "core/workers.h"

namespace sinew {
namespace {

// Calls f(i), or f(i, thread) where f has scratch memory per thread, for 0 <= i < n; `cost` is the
// work of one item in element operations. Small work runs on the calling thread: waking another one
// costs microseconds.
template <class F>
inline void parallel_for(const Cpu& device, int64_t n, int64_t cost, const F& f) {
  constexpr int64_t worth_a_thread = 16384, worth_a_turn = 2048;
  const int64_t wanted = n * cost / worth_a_thread;
  const int64_t limit = n < device.threads ? n : device.threads;
  const int threads = static_cast<int>(wanted < limit ? wanted : limit);
  const auto call = [&f](int64_t i, int thread) {
    if constexpr (std::is_invocable_v<F, int64_t, int>)
      f(i, thread);
    else
      f(i), (void)thread;
  };
  if (threads <= 1) {
    for (int64_t i = 0; i < n; ++i) call(i, 0);
    return;
  }
  const int64_t turn = cost >= worth_a_turn ? 1 : worth_a_turn / (cost + 1) + 1;  // items at once
  const auto take = [&call, n, turn](int64_t t, int thread) noexcept {
    const int64_t end = (t + 1) * turn < n ? (t + 1) * turn : n;
    for (int64_t i = t * turn; i < end; ++i) call(i, thread);
  };
  using Take = decltype(take);
  run_on_workers(
      threads, (n + turn - 1) / turn,
      [](const void* g, int64_t t, int thread) { (*static_cast<const Take*>(g))(t, thread); },
      &take);
}

// Fixed pieces of a long range: f(first, count) with count <= piece.
template <class F>
inline void parallel_pieces(const Cpu& device, int64_t n, int64_t piece, int64_t cost, const F& f) {
  const int64_t pieces = (n + piece - 1) / piece;
  parallel_for(device, pieces, piece * cost, [&](int64_t p) {
    const int64_t first = p * piece;
    f(first, n - first < piece ? n - first : piece);
  });
}

}  // namespace
}  // namespace sinew
