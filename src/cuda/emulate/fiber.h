// A stack of its own on which a function runs until it switches to another fiber.
// AddressSanitizer and ThreadSanitizer are told of each switch.
#pragma once
#include <cstddef>
#include <memory>

#if defined(__has_feature)
#define SINEW_HAS_FEATURE(x) __has_feature(x)
#else
#define SINEW_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SINEW_HAS_FEATURE(address_sanitizer)
#define SINEW_ASAN 1
#include <sanitizer/asan_interface.h>
#else
#define SINEW_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || SINEW_HAS_FEATURE(thread_sanitizer)
#define SINEW_TSAN 1
#else
#define SINEW_TSAN 0
#endif

namespace sinew::emulate {

class Fiber {
 public:
  Fiber() = default;                           // the calling thread itself
  static std::unique_ptr<Fiber> with_stack();  // the page below it is closed; null without memory
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // At the next switch to it, `entry` begins anew; it must never return.
  void start(void (*entry)());
  void switch_to(Fiber& next);       // comes back when another fiber switches here
  static void entered(Fiber& self);  // the first call of an entry

 private:
  void* context_ = nullptr;  // where it goes on
  void* stack_ = nullptr;
  const void* bottom_ = nullptr;  // of the stack, as the sanitizers want it
  size_t size_ = 0;
  void* asan_ = nullptr;
  [[maybe_unused]] void* tsan_ = nullptr;
};

}  // namespace sinew::emulate
