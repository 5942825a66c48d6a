// Fibers. On x86-64 a switch stores the registers that a call preserves (System V ABI, section
// 3.2.1) on the old stack and takes them from the new one; elsewhere it is swapcontext, which also
// switches the signal mask by two system calls.
#include "cuda/emulate/fiber.h"

#include <sys/mman.h>

#include <cstdint>

#if !defined(__x86_64__) || defined(SINEW_UCONTEXT)
#include <new>

#include <ucontext.h>
#endif
#if SINEW_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if SINEW_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace sinew::emulate {
namespace {

constexpr size_t page = 4096 * 4;  // a multiple of the page size of every platform in use
constexpr size_t stack_bytes = 16 * page;
Fiber* previous = nullptr;  // from which the last switch went away

}  // namespace

#if defined(__x86_64__) && !defined(SINEW_UCONTEXT)
extern "C" void sinew_fiber_switch(void** save, void* next);
asm(R"(
.text
.globl sinew_fiber_switch
.hidden sinew_fiber_switch
.type sinew_fiber_switch, @function
sinew_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sinew_fiber_switch, .-sinew_fiber_switch
)");

void Fiber::start(void (*entry)()) {
#if SINEW_ASAN
  ASAN_UNPOISON_MEMORY_REGION(bottom_, size_);
#endif
  asan_ = nullptr;
  // Stacks begin at different cache lines: at one distance from each other they would all share the
  // same few sets of the cache.
  static unsigned count = 0;
  const size_t skip = (++count % 61) * 64;
  auto* top =
      reinterpret_cast<uint64_t*>(static_cast<char*>(const_cast<void*>(bottom_)) + size_ - skip);
  *--top = 0;  // aligned as after a call, and the end of a debugger's backtrace
  *--top = reinterpret_cast<uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--top = 0;
  context_ = top;
}

namespace {
void swap(void** from, void* to) { sinew_fiber_switch(from, to); }
}  // namespace
#else

void Fiber::start(void (*entry)()) {
#if SINEW_ASAN
  ASAN_UNPOISON_MEMORY_REGION(bottom_, size_);
#endif
  asan_ = nullptr;
  // The context lies at the stack's lower end.
  auto* context = new (const_cast<void*>(bottom_)) ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = context + 1;
  context->uc_stack.ss_size = size_ - sizeof *context;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  context_ = context;
}

namespace {
void swap(void** from, void* to) {
  ucontext_t here;
  ucontext_t* save = *from ? static_cast<ucontext_t*>(*from) : &here;
  *from = save;
  swapcontext(save, static_cast<ucontext_t*>(to));
  if (save == &here) *from = nullptr;
}
}  // namespace
#endif

std::unique_ptr<Fiber> Fiber::with_stack() {
  void* memory = mmap(nullptr, page + stack_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto fiber = std::make_unique<Fiber>();
  fiber->stack_ = memory;
  fiber->bottom_ = static_cast<char*>(memory) + page;
  fiber->size_ = stack_bytes;
#if SINEW_TSAN
  fiber->tsan_ = __tsan_create_fiber(0);
#endif
  if (mprotect(static_cast<char*>(memory) + page, stack_bytes, PROT_READ | PROT_WRITE))
    return nullptr;
  return fiber;
}

Fiber::~Fiber() {
#if SINEW_TSAN
  if (stack_ && tsan_) __tsan_destroy_fiber(tsan_);
#endif
  if (stack_) munmap(stack_, page + stack_bytes);
}

void Fiber::switch_to(Fiber& next) {
  previous = this;
#if SINEW_ASAN
  __sanitizer_start_switch_fiber(&asan_, next.bottom_, next.size_);
#endif
#if SINEW_TSAN
  if (!tsan_) tsan_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(next.tsan_, 0);
#endif
  swap(&context_, next.context_);
  entered(*this);
}

void Fiber::entered([[maybe_unused]] Fiber& self) {
#if SINEW_ASAN
  __sanitizer_finish_switch_fiber(self.asan_, &previous->bottom_, &previous->size_);
#endif
}

}  // namespace sinew::emulate
