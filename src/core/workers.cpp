// A job is open while its items may be taken. A worker first counts itself in, then looks whether
// the job is open; the caller closes it and waits until nobody is counted in. So a worker that
// comes late never touches a job that has ended.
#include "core/workers.h"

#include <atomic>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

namespace sinew {
namespace {

inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

class Workers {
 public:
  ~Workers() {
    stop_.store(true);
    wake();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(int threads, int64_t n, WorkItem item, const void* f) {
    grow(threads - 1);
    item_ = item;
    f_ = f;
    participants_ = threads;
    for (int p = 0; p < threads; ++p) {
      ranges_[static_cast<size_t>(p)]->next.store(n * p / threads, std::memory_order_relaxed);
      ranges_[static_cast<size_t>(p)]->end = n * (p + 1) / threads;
    }
    open_.store(true);
    wake();
    take_items(0);
    open_.store(false);
    for (int spins = 0; inside_.load() != 0; ++spins)
      spins < 4096 ? pause_briefly() : std::this_thread::yield();
  }

 private:
  struct alignas(64) Range {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  void wake() {
    generation_.fetch_add(1);
    generation_.notify_all();
  }

  void grow(int count) {
    while (ranges_.size() < static_cast<size_t>(count) + 1)
      ranges_.push_back(std::make_unique<Range>());
    while (threads_.size() < static_cast<size_t>(count)) {
      const int self = static_cast<int>(threads_.size()) + 1;
      try {
        threads_.emplace_back([this, self] { work(self); });
      } catch (const std::system_error&) {
        return;  // no thread to be had: the others do its work
      }
    }
  }

  void take_items(int self) {
    for (int k = 0; k < participants_; ++k) {
      Range& range = *ranges_[static_cast<size_t>((self + k) % participants_)];
      while (range.next.load(std::memory_order_relaxed) < range.end) {
        const int64_t i = range.next.fetch_add(1, std::memory_order_relaxed);
        if (i < range.end) item_(f_, i, self);
      }
    }
  }

  void work(int self) {
    uint32_t seen = 0;
    while (true) {
      for (int spins = 0; spins < 2048 && generation_.load() == seen; ++spins) pause_briefly();
      generation_.wait(seen);
      seen = generation_.load();
      if (stop_.load()) return;
      inside_.fetch_add(1);
      if (open_.load() && self < participants_) take_items(self);
      inside_.fetch_sub(1);
    }
  }

  std::vector<std::thread> threads_;
  std::vector<std::unique_ptr<Range>> ranges_;  // of the caller, then of each worker
  WorkItem item_ = nullptr;
  const void* f_ = nullptr;
  int participants_ = 0;
  std::atomic<bool> open_{false}, stop_{false};
  std::atomic<int> inside_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
};

}  // namespace

void run_on_workers(int threads, int64_t n, WorkItem item, const void* f) {
  thread_local Workers workers;
  workers.run(threads, n, item, f);
}

}  // namespace sinew
