// One launch of a kernel, run to its end: every block, and in a block every thread as a fiber.
#pragma once
#include <cstdint>
#include <string>

#include "cuda/emulate/types.h"

namespace sinew::emulate {

struct Kernel {
  dim3 grid, block;
  size_t shared_bytes;
  void (*invoke)(const void* arguments);
  const void* arguments;
};

inline constexpr size_t max_shared_bytes = 227 * 1024;

// Returns why it failed, or nothing. One call at a time. Throws std::bad_alloc.
std::string run_grid(const Kernel& kernel);

}  // namespace sinew::emulate
