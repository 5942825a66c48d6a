// One block. A fiber runs a thread of it; when that exits, the same fiber runs the next one, so a
// kernel that never waits switches no stacks. When it waits, a thread that may run is drawn: on its
// own fiber if it waited before, else on a fresh one.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "cuda/emulate/scheduler.h"

namespace sinew::emulate {
namespace {

bool same(const Place& a, const Place& b) {
  return a.line == b.line && (a.file == b.file || !std::strcmp(a.file, b.file));
}

void fiber_entry() { scheduler().thread_main(); }

}  // namespace

Scheduler& scheduler() {
  static Scheduler instance;
  return instance;
}

Thread* Scheduler::next() {
  if (runnable.empty()) return nullptr;
  Thread*& drawn = runnable[draw(runnable.size())];
  Thread* const thread = drawn;
  drawn = runnable.back();
  runnable.pop_back();
  return thread;
}

void Scheduler::run(Thread& thread) {
  current = &thread;
  indices.thread = thread.index;
}

// Gives up the block: its fibers are left as they are.
void Scheduler::abandon(const char* why, const Thread* one, const Thread* other) {
  failure = {why, {one, other}};
  current->fiber->switch_to(*host);
  std::abort();  // not reached: no one resumes it
}

// All live threads wait: names one, and one that waits for something else if there is.
void Scheduler::abandon_stuck() {
  const Thread *one = nullptr, *other = nullptr;
  for (const Thread& t : threads) {
    if (t.state == State::exited) continue;
    if (!one) one = &t;
    if (t.state != one->state || t.mask != one->mask || std::strcmp(t.intrinsic, one->intrinsic))
      other = other ? other : &t;
  }
  abandon("no thread can go on", one, other);
}

// Lets others run until `self` may.
void Scheduler::wait(Thread& self) {
  Thread* const thread = next();
  if (!thread) abandon_stuck();
  if (thread->state == State::fresh) {
    thread->fiber = take_fiber();
    if (!thread->fiber) abandon("no memory for the stacks of its threads");
  }
  run(*thread);
  if (thread != &self) self.fiber->switch_to(*thread->fiber);
}

void Scheduler::complete_block() {
  votes = {yes, arrived};
  arrived = yes = 0;
  for (Thread& t : threads)
    if (t.state == State::in_block) {
      t.state = State::ready;
      runnable.push_back(&t);
    }
}

// If all lanes that `waiting` waits for are there or have exited, hands out values.
void Scheduler::complete_warp(Thread& waiting) {
  const int first = waiting.number & ~31;
  const int count = std::min(32, static_cast<int>(threads.size()) - first);
  unsigned present = 0;
  uint64_t values[32];
  for (int i = 0; i < 32; ++i) {
    values[i] = ~uint64_t{0};
    if (!(waiting.mask >> i & 1) || i >= count) continue;
    const Thread& t = threads[first + i];
    if (t.state == State::exited) continue;
    if (t.state != State::in_warp || t.mask != waiting.mask ||
        (t.intrinsic != waiting.intrinsic && std::strcmp(t.intrinsic, waiting.intrinsic)))
      return;
    present |= 1u << i;
    values[i] = t.value;
  }
  for (int i = 0; i < count; ++i) {
    if (!(present >> i & 1)) continue;
    Thread& t = threads[first + i];
    std::memcpy(t.values, values, sizeof values);
    t.present = present;
    t.state = State::ready;
    --warp_waiting[first / 32];
    runnable.push_back(&t);
  }
}

// An exit may be what others waited for.
void Scheduler::exit(Thread& self) {
  self.state = State::exited;
  --live;
  if (arrived > 0 && arrived == live) complete_block();
  const int first = self.number & ~31;
  const int end = std::min(first + 32, static_cast<int>(threads.size()));
  for (int i = first; i < end && warp_waiting[first / 32] > 0; ++i)
    if (threads[i].state == State::in_warp) complete_warp(threads[i]);
}

void Scheduler::thread_main() {
  Fiber::entered(*current->fiber);
  for (;;) {
    kernel->invoke(kernel->arguments);
    Thread& self = *current;
    exit(self);
    Thread* const thread = next();
    if (thread && thread->state == State::fresh) {
      thread->fiber = self.fiber;
      run(*thread);
      continue;
    }
    if (!thread && live > 0) abandon_stuck();
    idle.push_back(self.fiber);
    if (thread) run(*thread);
    self.fiber->switch_to(thread ? *thread->fiber : *host);
  }
}

void Scheduler::reset_fibers() {
  idle.clear();
  for (const auto& fiber : fibers) {
    fiber->start(fiber_entry);
    idle.push_back(fiber.get());
  }
}

void Scheduler::drop_fibers() {
  constexpr size_t kept = 512;
  if (fibers.size() <= kept) return;
  fibers.resize(kept);
  reset_fibers();
}

// Null without memory for its stack.
Fiber* Scheduler::take_fiber() {
  if (idle.empty()) {
    std::unique_ptr<Fiber> made = Fiber::with_stack();
    if (!made) return nullptr;
    made->start(fiber_entry);
    idle.push_back(made.get());
    fibers.push_back(std::move(made));
  }
  Fiber* const fiber = idle.back();
  idle.pop_back();
  return fiber;
}

void Scheduler::run_block() {
  live = static_cast<int>(threads.size());
  arrived = yes = 0;
  runnable.clear();
  for (Thread& t : threads) {
    t.state = State::fresh;
    runnable.push_back(&t);
  }
  std::fill(warp_waiting.begin(), warp_waiting.end(), 0);
  if (kernel->shared_bytes) std::memset(indices.shared, 0xff, kernel->shared_bytes);
  Thread* const first = next();
  first->fiber = take_fiber();
  if (!first->fiber) throw std::bad_alloc();
  run(*first);
  host->switch_to(*first->fiber);
}

int lane_id() { return scheduler().current->number % 32; }

void stop_kernel(const char* intrinsic, Place place) {
  Scheduler& s = scheduler();
  s.current->intrinsic = intrinsic;
  s.current->place = place;
  s.abandon("it ends the kernel", s.current);
}

Votes meet_block(const char* intrinsic, bool vote, Place place) {
  Scheduler& s = scheduler();
  Thread& self = *s.current;
  self.state = State::in_block;
  self.intrinsic = intrinsic;
  self.place = place;
  self.mask = 0;
  if (s.arrived == 0) s.first = &self;
  if (!same(place, s.first->place))
    s.abandon("a barrier is one line of source for all", s.first, &self);
  ++s.arrived;
  s.yes += vote;
  if (s.arrived == s.live) s.complete_block();
  s.wait(self);
  return s.votes;
}

unsigned meet_warp(const char* intrinsic, unsigned mask, uint64_t value, uint64_t (&values)[32],
                   Place place) {
  Scheduler& s = scheduler();
  Thread& self = *s.current;
  self.state = State::in_warp;
  self.intrinsic = intrinsic;
  self.place = place;
  self.mask = mask;
  self.value = value;
  self.values = values;
  if (!(mask >> self.number % 32 & 1)) s.abandon("the mask lacks its own lane", &self);
  ++s.warp_waiting[self.number / 32];
  s.complete_warp(self);
  s.wait(self);
  return self.present;
}

}  // namespace sinew::emulate
