// The scheduler of a kernel's threads: block.cpp runs one block, grid.cpp all of a launch.
#pragma once
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "cuda/emulate/fiber.h"
#include "cuda/emulate/grid.h"
#include "cuda/emulate/kernel.h"

namespace sinew::emulate {

enum class State : uint8_t { fresh, ready, in_block, in_warp, exited };

struct Thread {
  int number;  // in the block
  uint3 index;
  State state;
  Fiber* fiber;           // since it began
  const char* intrinsic;  // in which it waits
  Place place;
  unsigned mask;     // meet_warp: the lanes it waits for,
  uint64_t value;    // what it brings
  uint64_t* values;  // and where it gets theirs
  unsigned present;
};

struct Scheduler {
  Scheduler() {
    if (const char* set = std::getenv("SINEW_EMULATE_SEED")) seed = std::strtoull(set, nullptr, 10);
  }

  uint64_t seed = 1, random = 0, launches = 0;
  const Kernel* kernel = nullptr;
  std::vector<Thread> threads;
  std::vector<Thread*> runnable;  // fresh or ready
  std::vector<int> warp_waiting;  // threads in meet_warp, per warp
  int live = 0;
  int arrived = 0, yes = 0;       // in meet_block
  Votes votes{};                  // of the last meeting
  const Thread* first = nullptr;  // who came first to the meeting under way
  Thread* current = nullptr;
  Fiber* host = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  char* shared = nullptr;  // max_shared_bytes, then a closed page
  struct {                 // plain data: what a fiber owns when it is left is never destroyed
    const char* why = nullptr;
    const Thread* threads[2];
  } failure;

  uint64_t bits() {
    uint64_t z = random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  size_t draw(size_t below) { return (bits() >> 32) * below >> 32; }
  Thread* next();
  void run(Thread& thread);
  void wait(Thread& self);
  [[noreturn]] void abandon(const char* why, const Thread* one = nullptr,
                            const Thread* other = nullptr);
  [[noreturn]] void abandon_stuck();
  void exit(Thread& self);
  void complete_block();
  void complete_warp(Thread& waiting);
  void thread_main();
  Fiber* take_fiber();
  void reset_fibers();  // after a failure
  void drop_fibers();   // those that only the largest blocks need
  void open_shared();
  void run_block();
  std::string run_grid(const Kernel& launched);
};

Scheduler& scheduler();

}  // namespace sinew::emulate
