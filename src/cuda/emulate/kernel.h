// Emulated CUDA: what a kernel calls: indices, barriers, warp intrinsics.
//
// A block's threads are fibers of one host thread. One runs until it waits; then another of those
// that may run is drawn with the seed (environment variable SINEW_EMULATE_SEED, or seed()), and so
// is the order of blocks. A wait that cannot end is an error that names block, threads and lines.
// Stricter than hardware: threads that meet in __syncthreads must meet in the same line of source.
// A lane that takes no part in an intrinsic (exited, or not in the mask) gives bytes of ones (NaN,
// -1). __activemask() is the calling lane alone, the least that CUDA promises.
// Not found: spinning until another thread writes hangs, since no thread is interrupted.
#pragma once
#include <cstring>
#include <type_traits>

#include "cuda/emulate/types.h"

namespace sinew::emulate {

// The seed of the orders of threads and blocks from the next launch on; returns the former one.
uint64_t seed(uint64_t value);

struct Place {  // in the source of a kernel
  const char* file;
  int line;
};
#define SINEW_PLACE Place place = {__builtin_FILE(), __builtin_LINE()}

inline constexpr int warpSize = 32;
struct Indices {
  uint3 thread, block;
  dim3 block_size, grid_size;
  void* shared;  // the dynamic shared memory
};
inline Indices indices;  // of the running thread
inline const uint3& threadIdx = indices.thread;
inline const uint3& blockIdx = indices.block;
inline const dim3& blockDim = indices.block_size;
inline const dim3& gridDim = indices.grid_size;
inline void* dynamic_shared_memory() { return indices.shared; }

// Waits for all threads of the block that have not exited; returns how many came with `vote`.
struct Votes {
  int yes, all;
};
Votes meet_block(const char* intrinsic, bool vote, Place place);

// Waits for the lanes of `mask` that have not exited; fills values[lane] of those. Returns them.
unsigned meet_warp(const char* intrinsic, unsigned mask, uint64_t value, uint64_t (&values)[32],
                   Place place);
int lane_id();
[[noreturn]] void stop_kernel(const char* intrinsic, Place place);

inline void __syncthreads(SINEW_PLACE) { meet_block("__syncthreads", false, place); }
inline int __syncthreads_count(int vote, SINEW_PLACE) {
  return meet_block("__syncthreads_count", vote != 0, place).yes;
}
inline int __syncthreads_or(int vote, SINEW_PLACE) {
  return meet_block("__syncthreads_or", vote != 0, place).yes > 0;
}
inline int __syncthreads_and(int vote, SINEW_PLACE) {
  const Votes votes = meet_block("__syncthreads_and", vote != 0, place);
  return votes.yes == votes.all;
}

inline void __syncwarp(unsigned mask = ~0u, SINEW_PLACE) {
  uint64_t values[32];
  meet_warp("__syncwarp", mask, 0, values, place);
}
inline unsigned __activemask() { return 1u << lane_id(); }

inline unsigned ballot(const char* intrinsic, unsigned mask, int vote, Place place,
                       unsigned* present = nullptr) {
  uint64_t values[32];
  const unsigned lanes = meet_warp(intrinsic, mask, vote != 0, values, place);
  if (present) *present = lanes;
  unsigned yes = 0;
  for (int i = 0; i < 32; ++i)
    if (lanes >> i & values[i] & 1) yes |= 1u << i;
  return yes;
}
inline unsigned __ballot_sync(unsigned mask, int vote, SINEW_PLACE) {
  return ballot("__ballot_sync", mask, vote, place);
}
inline int __any_sync(unsigned mask, int vote, SINEW_PLACE) {
  return ballot("__any_sync", mask, vote, place) != 0;
}
inline int __all_sync(unsigned mask, int vote, SINEW_PLACE) {
  unsigned present;
  return ballot("__all_sync", mask, vote, place, &present) == present;
}

template <class T>
T shuffle(const char* intrinsic, unsigned mask, T value, int source, Place place) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8);
  uint64_t bits = 0, values[32];
  std::memcpy(&bits, &value, sizeof(T));
  meet_warp(intrinsic, mask, bits, values, place);
  std::memcpy(&value, &values[source], sizeof(T));
  return value;
}
// The lane read from, in segments of `width` lanes; outside a segment's end: the own lane.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, SINEW_PLACE) {
  const int first = lane_id() & ~(width - 1);
  return shuffle("__shfl_sync", mask, value, first | (source & (width - 1)), place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SINEW_PLACE) {
  const int lane = lane_id(), last = lane | (width - 1), from = lane ^ bits;
  return shuffle("__shfl_xor_sync", mask, value, from <= last ? from : lane, place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SINEW_PLACE) {
  const int lane = lane_id(), from = lane - static_cast<int>(delta);
  return shuffle("__shfl_up_sync", mask, value, from >= (lane & ~(width - 1)) ? from : lane, place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SINEW_PLACE) {
  const int lane = lane_id(), from = lane + static_cast<int>(delta);
  return shuffle("__shfl_down_sync", mask, value, from <= (lane | (width - 1)) ? from : lane,
                 place);
}

#define SINEW_REDUCE(name, T, combined)                                            \
  inline T name(unsigned mask, T value, SINEW_PLACE) {                             \
    uint64_t values[32];                                                           \
    const unsigned lanes = meet_warp(#name, mask, uint32_t(value), values, place); \
    for (int i = 0; i < 32; ++i) {                                                 \
      if (i == lane_id() || !(lanes >> i & 1)) continue;                           \
      const T other = static_cast<T>(static_cast<uint32_t>(values[i]));            \
      value = static_cast<T>(combined);                                            \
    }                                                                              \
    return value;                                                                  \
  }
SINEW_REDUCE(__reduce_add_sync, unsigned, value + other)
SINEW_REDUCE(__reduce_add_sync, int, unsigned(value) + unsigned(other))
SINEW_REDUCE(__reduce_min_sync, unsigned, other < value ? other : value)
SINEW_REDUCE(__reduce_min_sync, int, other < value ? other : value)
SINEW_REDUCE(__reduce_max_sync, unsigned, other > value ? other : value)
SINEW_REDUCE(__reduce_max_sync, int, other > value ? other : value)
SINEW_REDUCE(__reduce_and_sync, unsigned, value& other)
SINEW_REDUCE(__reduce_or_sync, unsigned, value | other)
SINEW_REDUCE(__reduce_xor_sync, unsigned, value ^ other)
#undef SINEW_REDUCE

[[noreturn]] inline void __trap(SINEW_PLACE) { stop_kernel("__trap", place); }
inline void __threadfence() {}
inline void __threadfence_block() {}

#undef SINEW_PLACE

}  // namespace sinew::emulate
