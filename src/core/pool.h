// Bucketed free lists of 256-byte aligned blocks. Buckets are powers of two in quarter steps, so
// above 1 KiB at most a fifth of a block is waste. Guarded mode (tests): fills new blocks with NaN
// and checks canaries behind each block when it comes back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "sinew/device.h"

namespace sinew {

class Pool {
 public:
  enum class Guard : uint8_t { off, on };

  explicit Pool(Device device, Guard guard = Guard::off);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void* allocate(size_t bytes);
  void release(void* block, size_t bytes) noexcept;  // the bytes asked for
  void trim();
  Device device() const { return device_; }
  Guard guard() const { return guard_; }
  MemoryStats stats() const;
  void reset_high_water();
  int64_t overruns() const { return overruns_; }  // canaries found broken so far
  int64_t system_allocations() const { return system_allocations_; }

 private:
  void* system_block(size_t bytes);
  void give_back_free();
  void set_bytes(void* to, int byte, size_t count) const;
  bool canary_lives(const void* from, size_t count) const;

  Device device_;
  Guard guard_;
  const void* owner_;  // the executor of the thread that made it, on a GPU
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  MemoryStats stats_;
  int64_t overruns_ = 0;
  int64_t system_allocations_ = 0;
};

// One block of a pool, shared by the tensors that view it.
struct Buffer {
  Buffer(std::shared_ptr<Pool> from, size_t size);
  ~Buffer() { pool->release(data, bytes); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::shared_ptr<Pool> pool;
  size_t bytes;
  void* data = nullptr;
};

}  // namespace sinew
