#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "core/workers.h"

using sinew::run_on_workers;

namespace {

// Counts how often each item ran.
struct Counter {
  mutable std::vector<int> runs;
};
void count(const void* f, int64_t i, int) {
  ++static_cast<const Counter*>(f)->runs[static_cast<size_t>(i)];
}

void many_jobs() {
  for (int job = 0; job < 3000; ++job) {
    const int64_t n = job % 7 == 0 ? 1 : job % 41;
    const Counter counter{std::vector<int>(static_cast<size_t>(n), 0)};
    run_on_workers(2 + job % 4, n, count, &counter);
    for (int runs : counter.runs)
      if (runs != 1) FAIL("an item ran ", runs, " times");
  }
}

}  // namespace

TEST_CASE("threads: every item of every job runs once, with changing numbers of workers") {
  many_jobs();
}

TEST_CASE("threads: several callers have workers of their own") {
  std::thread first(many_jobs), second(many_jobs);
  many_jobs();
  first.join();
  second.join();
}

TEST_CASE("threads: workers that have gone to sleep take part again") {
  for (int i = 0; i < 20; ++i) {
    const Counter counter{std::vector<int>(100, 0)};
    run_on_workers(3, 100, count, &counter);
    for (int runs : counter.runs) CHECK(runs == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}
