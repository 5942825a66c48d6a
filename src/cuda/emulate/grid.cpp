// A launch: the failure's text, shared memory, the order of blocks. That is an arithmetic
// progression modulo their number with a step prime to it; the threads' order is a draw at each
// switch; both from splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
#include "cuda/emulate/grid.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "cuda/emulate/scheduler.h"

namespace sinew::emulate {
namespace {

std::string text(const uint3& v) {
  return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}
std::string text(unsigned mask) {
  std::string digits = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[mask >> shift & 15];
  return digits;
}
std::string text(const Place& place) {
  const char* slash = std::strrchr(place.file, '/');
  return std::string(slash ? slash + 1 : place.file) + ":" + std::to_string(place.line);
}
std::string text(const Thread& t) {
  const bool waits = t.state == State::in_block || t.state == State::in_warp;
  return "thread " + text(t.index) + (waits ? " waits in " : " is in ") + t.intrinsic +
         (t.state == State::in_warp ? " with mask " + text(t.mask) : "") + " at " + text(t.place);
}

}  // namespace

// The block's dynamic shared memory ends, to 16 bytes, at the closed page.
void Scheduler::open_shared() {
  constexpr size_t page = 64 * 1024, size = (max_shared_bytes + page - 1) / page * page;
  if (!shared) {
    void* memory = mmap(nullptr, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, size, PROT_READ | PROT_WRITE))
      throw std::bad_alloc();
    shared = static_cast<char*>(memory);
  }
  indices.shared = shared + size - (kernel->shared_bytes + 15) / 16 * 16;
#if SINEW_ASAN
  ASAN_POISON_MEMORY_REGION(shared, size);
  ASAN_UNPOISON_MEMORY_REGION(indices.shared, kernel->shared_bytes);
#endif
}

std::string Scheduler::run_grid(const Kernel& launched) {
  kernel = &launched;
  failure = {};
  random = seed * 0xd1342543de82ef95 + launches++ * 0x2545f4914f6cdd1d;
  Fiber here;
  host = &here;
  const dim3 size = kernel->block, grid = kernel->grid;
  threads.assign(size_t{size.x} * size.y * size.z, {});
  for (unsigned i = 0; i < threads.size(); ++i) {
    threads[i].number = static_cast<int>(i);
    threads[i].index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
  }
  warp_waiting.resize((threads.size() + 31) / 32);
  open_shared();
  indices.block_size = size;
  indices.grid_size = grid;

  const uint64_t plane = uint64_t{grid.x} * grid.y, count = plane * grid.z;
  uint64_t block = bits() % count, step = bits() % count;
  while (std::gcd(step, count) != 1) step = (step + 1) % count;
  for (uint64_t done = 0; done < count && !failure.why; ++done, block = (block + step) % count) {
    indices.block = {static_cast<unsigned>(block % grid.x),
                     static_cast<unsigned>(block / grid.x % grid.y),
                     static_cast<unsigned>(block / plane)};
    run_block();
  }
  if (!failure.why) {
    drop_fibers();
    return {};
  }
  std::string fact = "block " + text(indices.block) + ": ";
  for (const Thread* t : failure.threads)
    if (t) fact += text(*t) + ", ";
  reset_fibers();
  return fact + failure.why;
}

uint64_t seed(uint64_t value) {
  scheduler().launches = 0;
  return std::exchange(scheduler().seed, value);
}

std::string run_grid(const Kernel& kernel) { return scheduler().run_grid(kernel); }

}  // namespace sinew::emulate
