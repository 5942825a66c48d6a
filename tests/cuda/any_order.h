// Fixed bits: a computation on the GPU twice and, emulated, with three orders of threads and
// blocks.
#pragma once
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "cuda/parity.h"
#ifdef SINEW_EMULATE_CUDA
#include "cuda/cuda.h"
#endif

namespace sinew::test {

// f() gives a std::vector<float>.
template <class F>
void check_any_order(const F& f) {
  const OnDevice cuda(Device::cuda);
  const std::vector<float> first = f();
  const auto check = [&] {
    const std::vector<float> again = f();
    REQUIRE(again.size() == first.size());
    CHECK((first.empty() || std::memcmp(again.data(), first.data(), 4 * first.size()) == 0));
  };
  check();
#ifdef SINEW_EMULATE_CUDA
  for (const uint64_t seed : {11, 12, 13}) {
    const uint64_t former = emulate::seed(seed);
    check();
    emulate::seed(former);
  }
#endif
}

}  // namespace sinew::test
