// The emulated device's memory: one reserved range of addresses, closed to every access but while
// an operation of the device runs. Blocks start at multiples of 256 bytes with zones between them;
// new and freed blocks hold bytes of ones (NaN, -1). Under AddressSanitizer zones and freed blocks
// are poisoned; without it the zones hold a pattern that is compared after each kernel.
#pragma once
#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <utility>

namespace sinew::emulate {

class Memory {
 public:
  static constexpr size_t size = size_t{8} << 30;

  void* allocate(size_t bytes);                               // null when there is no more
  bool release(void* block);                                  // false if it is none
  bool holds(const void* pointer) const;                      // an address of the device's range
  bool holds_block(const void* pointer, size_t bytes) const;  // all of it within one live block
  size_t in_use() const { return in_use_; }

  // Why the device's memory is unsound, or nothing; repairs the zones.
  std::string verify();

  class Open {  // accessible while the outermost one lives
   public:
    explicit Open(Memory& memory) : memory_(memory) {
      if (memory_.opened_++ == 0) memory_.protect(true);
    }
    ~Open() {
      if (--memory_.opened_ == 0) memory_.protect(false);
    }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    Memory& memory_;
  };

 private:
  void protect(bool open);
  char* take_extent(size_t extent);
  void return_extent(char* start, size_t extent);

  int opened_ = 0;
  char* base_ = nullptr;
  size_t used_ = 0;  // of the range, from its start; more is never open
  size_t in_use_ = 0;
  std::map<char*, size_t> blocks_;                 // live: start and bytes asked for
  std::map<char*, size_t> holes_;                  // free extents
  std::deque<std::pair<char*, size_t>> released_;  // extents that rest before they are free
  size_t resting_ = 0;
};

}  // namespace sinew::emulate
