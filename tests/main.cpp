// Runs every test with guarded memory: new blocks hold NaN, and a write behind a block's end is
// found when the block comes back.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "core/context.h"

int main(int argc, char** argv) {
  const auto pool = std::make_shared<sinew::Pool>(sinew::Device::cpu, sinew::Pool::Guard::on);
  sinew::context().pool = sinew::context().own_pool = pool;
  doctest::Context tests(argc, argv);
#ifdef SINEW_CUDA
  if (const std::string fault = sinew::cuda_fault(); !fault.empty()) {
    std::fprintf(stderr, "Test cases named cuda... are left out: %s\n", fault.c_str());
    tests.addFilter("test-case-exclude", "cuda*");
  }
#endif
  const int result = tests.run();
  for (const auto& used : {pool, sinew::context().other_pool}) {
    if (!used || used->overruns() == 0) continue;
    std::fprintf(stderr, "%lld blocks were written behind their end\n",
                 static_cast<long long>(used->overruns()));
    return 1;
  }
  return result;
}
