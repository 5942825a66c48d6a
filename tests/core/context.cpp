#include <doctest/doctest.h>

#include <thread>

#include "sinew/device.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/tape.h"

using namespace sinew;

TEST_CASE("isa: names, the best level, and levels that are not here") {
  CHECK(std::string(name(Device::cpu)) == "cpu");
  CHECK(std::string(name(Device::cuda)) == "cuda");
  const Isa former = isa(), best = parse_isa("auto");
  CHECK(supports(Isa::generic));
  CHECK(supports(best));
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    CHECK(parse_isa(name(level)) == level);
    if (level > best) CHECK_FALSE(supports(level));
    if (supports(level)) {
      set_isa(level);
      CHECK(isa() == level);
    } else {
      const std::string message =
          "isa: not available in this build on this processor (" + std::string(name(level)) + ")";
      CHECK_THROWS_WITH_AS(set_isa(level), message.c_str(), Error);
    }
  }
  set_isa(Isa::generic);
  CHECK_THROWS_WITH_AS(set_isa(static_cast<Isa>(9)),  // a level that no build has
                       "isa: not available in this build on this processor (?)", Error);
  CHECK(isa() == Isa::generic);
  CHECK_THROWS_WITH_AS(parse_isa("sse2"),
                       "isa: unknown level (sse2; generic, avx2, avx512 or auto)", Error);
  CHECK_THROWS_WITH_AS(parse_isa(""), "isa: unknown level (; generic, avx2, avx512 or auto)",
                       Error);
  set_isa(former);
}

TEST_CASE("threads: the count is at least 1 and belongs to the calling thread") {
  const int former = threads();
  CHECK(former >= 1);
  set_threads(3);
  CHECK_THROWS_WITH_AS(set_threads(0), "threads: count below 1 (0)", Error);
  CHECK_THROWS_WITH_AS(set_threads(-2), "threads: count below 1 (-2)", Error);
  CHECK(threads() == 3);
  int first = 0, then = 0;
  std::thread other([&] {
    first = threads();
    set_threads(7);
    then = threads();
  });
  other.join();
  CHECK(first >= 1);
  CHECK(then == 7);
  CHECK(threads() == 3);
  set_threads(former);
}

TEST_CASE("memory: statistics follow the tensors") {
  reset_memory_high_water();
  const MemoryStats before = memory();
  CHECK(before.high_water == before.in_use);
  {
    const Tensor x({1 << 20});  // 4 MiB
    CHECK(memory().in_use == before.in_use + (4 << 20));
    const Tensor shared = x.view({1 << 10, 1 << 10});
    CHECK(memory().in_use == before.in_use + (4 << 20));
  }
  CHECK(memory().in_use == before.in_use);
  CHECK(memory().high_water == before.in_use + (4 << 20));
  CHECK(memory().reserved >= before.in_use + (4 << 20));
  reset_memory_high_water();
  release_cached_memory();
  CHECK(memory().high_water == before.in_use);
  CHECK(memory().reserved == before.in_use);
}

TEST_CASE("masks: the state has four words and goes on from where it was set") {
  const auto former = mask_state();
  seed_masks(0x0000000500000007);
  CHECK(mask_state() == std::vector<uint32_t>{7, 5, 0, 0});
  const Tensor x = Tensor::full({64}, 1);
  (void)dropout(x, 0.5);
  const auto later = mask_state();
  const auto second = dropout(x, 0.5).host<float>();
  CHECK_THROWS_WITH_AS(set_mask_state({1, 2, 3}), "set_mask_state: needs 4 words (3)", Error);
  CHECK_THROWS_WITH_AS(set_mask_state({}), "set_mask_state: needs 4 words (0)", Error);
  CHECK(mask_state() != later);
  set_mask_state(later);
  CHECK(mask_state() == later);
  CHECK(dropout(x, 0.5).host<float>() == second);
  set_mask_state(former);
}

TEST_CASE("tape: composed_gradients needs an active tape") {
  const auto f = [](const std::vector<Tensor>& in) { return square(in[0]); };
  const Tensor x = Tensor::full({2}, 3, DType::f64);
  CHECK_THROWS_WITH_AS(composed_gradients(f, {x}, x),
                       "tape: composed_gradients needs an active tape", Error);
}
