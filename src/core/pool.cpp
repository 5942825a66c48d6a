// Memory pool: see pool.h. A block is `bucket` bytes (plus 256 bytes of canary in guarded mode).
#include "core/pool.h"

#include <cstdlib>
#include <cstring>

#include "sinew/error.h"

namespace sinew {
namespace {

constexpr size_t alignment = 256;
constexpr unsigned char canary = 0xA5;

// Smallest 2^e * {4,5,6,7}/4 that is >= bytes, and >= 256.
size_t bucket_of(size_t bytes) {
  size_t power = alignment;
  while (power * 2 <= bytes) power *= 2;
  for (size_t quarter = 4; quarter <= 8; ++quarter)
    if (power / 4 * quarter >= bytes)
      return (power / 4 * quarter + alignment - 1) / alignment * alignment;
  return power * 2;
}

}  // namespace

Pool::~Pool() { trim(); }

void* Pool::allocate(size_t bytes) {
  const size_t bucket = bucket_of(bytes);
  const std::lock_guard lock(mutex_);
  void* block = nullptr;
  auto& blocks = free_[bucket];
  if (!blocks.empty()) {
    block = blocks.back();
    blocks.pop_back();
  } else {
    const size_t guarded = bucket + (guard_ == Guard::on ? alignment : 0);
    block = std::aligned_alloc(alignment, guarded);
    if (!block) throw Error("pool: out of memory (" + std::to_string(guarded) + " bytes)");
    blocks.reserve(blocks.capacity() + 1);  // so that release() never allocates
    stats_.reserved += static_cast<int64_t>(bucket);
    ++system_allocations_;
  }
  if (guard_ == Guard::on) {
    std::memset(block, 0xFF, bucket);  // NaN in every floating type
    std::memset(static_cast<char*>(block) + bytes, canary, bucket + alignment - bytes);
  }
  stats_.in_use += static_cast<int64_t>(bucket);
  if (stats_.in_use > stats_.high_water) stats_.high_water = stats_.in_use;
  return block;
}

void Pool::release(void* block, size_t bytes) noexcept {
  const size_t bucket = bucket_of(bytes);
  const std::lock_guard lock(mutex_);
  if (guard_ == Guard::on) {
    const auto* start = static_cast<const unsigned char*>(block);
    for (size_t i = bytes; i < bucket + alignment; ++i)
      if (start[i] != canary) {
        ++overruns_;
        break;
      }
  }
  stats_.in_use -= static_cast<int64_t>(bucket);
  free_[bucket].push_back(block);
}

void Pool::trim() {
  const std::lock_guard lock(mutex_);
  for (auto& [bucket, blocks] : free_) {
    for (void* block : blocks) std::free(block);
    stats_.reserved -= static_cast<int64_t>(bucket * blocks.size());
    blocks.clear();
  }
}

MemoryStats Pool::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Pool::reset_high_water() {
  const std::lock_guard lock(mutex_);
  stats_.high_water = stats_.in_use;
}

Buffer::Buffer(std::shared_ptr<Pool> from, size_t size) : pool(std::move(from)), bytes(size) {
  data = pool->allocate(bytes);
}

}  // namespace sinew
