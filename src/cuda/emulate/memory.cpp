// Device memory. A block's extent is its bytes, rounded up to 256, and a zone of 256 bytes behind;
// the first block has a zone before it too. Free extents are taken first fit and merged with their
// neighbours; a released one rests until 4 MiB more have been released, so that a use after free
// does not meet another block's data.
#include "cuda/emulate/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <iterator>

#include "cuda/emulate/fiber.h"

namespace sinew::emulate {
namespace {

constexpr size_t unit = 256;
constexpr size_t resting_limit = size_t{4} << 20;
// Opening and closing costs time per page: 6 ms per 100 MB with pages of 4 KiB, 15 us with these.
constexpr size_t page = size_t{2} << 20;
[[maybe_unused]] constexpr unsigned char zone_byte = 0xa5;

size_t extent_of(size_t bytes) { return (bytes + unit - 1) / unit * unit + unit; }

void poison([[maybe_unused]] char* start, [[maybe_unused]] size_t bytes) {
#if SINEW_ASAN
  ASAN_POISON_MEMORY_REGION(start, bytes);
#endif
}
void unpoison([[maybe_unused]] char* start, [[maybe_unused]] size_t bytes) {
#if SINEW_ASAN
  ASAN_UNPOISON_MEMORY_REGION(start, bytes);
#endif
}
void fill_zone([[maybe_unused]] char* start, [[maybe_unused]] char* end) {
#if !SINEW_ASAN
  std::memset(start, zone_byte, end - start);
#endif
}
// The first byte of a zone that was written, or its end.
char* written([[maybe_unused]] char* start, char* end) {
#if !SINEW_ASAN
  for (; start < end; ++start)
    if (static_cast<unsigned char>(*start) != zone_byte) return start;
#endif
  return end;
}

}  // namespace

void Memory::protect(bool open) {
  if (used_ == 0) return;
  const size_t bytes = (used_ + page - 1) / page * page;
  mprotect(base_, bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

char* Memory::take_extent(size_t extent) {
  for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
    const auto [start, bytes] = *hole;
    if (bytes < extent) continue;
    holes_.erase(hole);
    if (bytes > extent) holes_.emplace(start + extent, bytes - extent);
    return start;
  }
  if (!base_) {
    void* range =
        mmap(nullptr, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return nullptr;
    base_ = static_cast<char*>(range) + (page - reinterpret_cast<uintptr_t>(range) % page) % page;
    madvise(base_, size, MADV_HUGEPAGE);
    used_ = unit;
    Open open(*this);
    fill_zone(base_, base_ + unit);
    poison(base_, unit);
  }
  if (extent > size - used_) return nullptr;
  char* const start = base_ + used_;
  used_ += extent;
  poison(start, extent);
  return start;
}

void Memory::return_extent(char* start, size_t extent) {
  auto hole = holes_.emplace(start, extent).first;
  const auto after = std::next(hole);
  if (after != holes_.end() && start + extent == after->first) {
    hole->second += after->second;
    holes_.erase(after);
  }
  if (hole == holes_.begin()) return;
  const auto before = std::prev(hole);
  if (before->first + before->second == start) {
    before->second += hole->second;
    holes_.erase(hole);
  }
}

void* Memory::allocate(size_t bytes) {
  if (bytes > size) return nullptr;
  const size_t extent = extent_of(bytes);
  char* start = take_extent(extent);
  for (; !start && !released_.empty(); start = take_extent(extent)) {
    return_extent(released_.front().first, released_.front().second);
    resting_ -= released_.front().second;
    released_.pop_front();
  }
  if (!start) return nullptr;
  Open open(*this);
  unpoison(start, bytes);
  std::memset(start, 0xff, bytes);
  fill_zone(start + bytes, start + extent);
  blocks_.emplace(start, bytes);
  in_use_ += bytes;
  return start;
}

bool Memory::release(void* block) {
  const auto found = blocks_.find(static_cast<char*>(block));
  if (found == blocks_.end()) return false;
  const auto [start, bytes] = *found;
  blocks_.erase(found);
  in_use_ -= bytes;
  {
    Open open(*this);
    std::memset(start, 0xff, bytes);
    poison(start, bytes);
  }
  released_.emplace_back(start, extent_of(bytes));
  resting_ += extent_of(bytes);
  while (resting_ > resting_limit) {
    const auto [oldest, extent] = released_.front();
    released_.pop_front();
    resting_ -= extent;
    return_extent(oldest, extent);
  }
  return true;
}

bool Memory::holds(const void* pointer) const {
  const char* p = static_cast<const char*>(pointer);
  return base_ && p >= base_ && p < base_ + size;
}

bool Memory::holds_block(const void* pointer, size_t bytes) const {
  const char* p = static_cast<const char*>(pointer);
  auto block = blocks_.upper_bound(const_cast<char*>(p));
  if (block == blocks_.begin()) return false;
  --block;
  const size_t offset = static_cast<size_t>(p - block->first);
  return offset <= block->second && bytes <= block->second - offset;
}

std::string Memory::verify() {
  std::string fact;
  if (blocks_.empty()) return fact;
  Open open(*this);
  const auto check = [&](char* start, char* end, size_t bytes, const char* where) {
    char* const byte = written(start, end);
    if (byte == end) return;
    if (fact.empty())
      fact = "a block of " + std::to_string(bytes) + " bytes was written " + where + " at byte " +
             std::to_string(byte - start) + " of the zone";
    fill_zone(start, end);
  };
  for (const auto& [start, bytes] : blocks_) {
    check(start - unit, start, bytes, "before its start");
    check(start + bytes, start + extent_of(bytes), bytes, "behind its end");
  }
  return fact;
}

}  // namespace sinew::emulate
