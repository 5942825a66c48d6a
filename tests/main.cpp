// Runs every test with guarded memory: new blocks hold NaN, and a write behind a block's end is
// found when the block comes back.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "core/context.h"

int main(int argc, char** argv) {
  const auto pool = std::make_shared<sinew::Pool>(sinew::Device::cpu, sinew::Pool::Guard::on);
  sinew::context().pool = pool;
  const int result = doctest::Context(argc, argv).run();
  if (pool->overruns() > 0) {
    std::fprintf(stderr, "%lld blocks were written behind their end\n",
                 static_cast<long long>(pool->overruns()));
    return 1;
  }
  return result;
}
