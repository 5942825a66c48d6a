#include <doctest/doctest.h>

#include <thread>

#include "core/pool.h"
#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/geo.h"
#include "sinew/ops.h"
#include "sinew/step.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// Gradient descent on |geo_linear(x) - t|^2 with a learning rate in a tensor.
struct Training {
  SharedConnectivity table;
  Tensor w = random_f32({16, 4}, 1), lr = Tensor::full({}, 0.01);

  Training() {
    ConnectivityOptions options;
    options.shape = {4, 4};
    options.k = 4;
    table = make_connectivity(options);
  }
  std::vector<Tensor> operator()(const std::vector<Tensor>& in) {
    Tape tape;
    tape.watch(w);
    const Tensor loss = mean(square(sub(geo_linear(in[0], w, {}, table), in[1])));
    const Tensor dw = tape.gradients(loss, {w})[0];
    w.assign(sub(w.detach(), mul(dw, lr)));
    return {loss};
  }
};

std::vector<Tensor> batch(int64_t rows, uint32_t seed) {
  return {random_f32({rows, 16}, seed), random_f32({rows, 16}, seed + 100)};
}

}  // namespace

TEST_CASE("step: twenty replayed steps equal twenty eager ones, bit for bit") {
  Training eager, stepped;
  Step step([&](const std::vector<Tensor>& in) { return stepped(in); });
  for (uint32_t i = 0; i < 20; ++i) {
    const int64_t rows = i % 5 == 4 ? 7 : 33;  // two shapes in turn
    if (i == 10) {
      eager.lr.assign(std::vector<float>{0.02f});
      stepped.lr.assign(std::vector<float>{0.02f});
    }
    const float a = eager(batch(rows, i))[0].item<float>();
    const float b = step(batch(rows, i))[0].item<float>();
    CHECK(a == b);
  }
  CHECK(eager.w.host<float>() == stepped.w.host<float>());
  CHECK(step.recorded() > 0);
}

TEST_CASE("step: no allocation after the recording call") {
  Training training;
  Step step([&](const std::vector<Tensor>& in) { return training(in); });
  const auto in = batch(33, 1);
  step(in);
  step(in);
  const MemoryStats own = step.memory(), outer = memory();
  for (int i = 0; i < 5; ++i) step(in);
  CHECK(step.memory().reserved == own.reserved);
  CHECK(step.memory().high_water == own.high_water);
  CHECK(memory().high_water == outer.high_water);
}

TEST_CASE("step: a result of one shape survives the replays of another") {
  Training training;
  Step step([&](const std::vector<Tensor>& in) { return training(in); });
  step(batch(33, 1));
  step(batch(33, 1));
  const Tensor kept = step(batch(7, 2))[0];
  const float value = kept.item<float>();
  for (uint32_t i = 0; i < 3; ++i) step(batch(33, i));
  CHECK(kept.item<float>() == value);
}

TEST_CASE("step: host access while recording is an error, and the step can go on") {
  Training training;
  bool peek = true;
  Step step([&](const std::vector<Tensor>& in) {
    auto out = training(in);
    if (peek) (void)out[0].item<float>();
    return out;
  });
  const auto in = batch(5, 1);
  step(in);
  CHECK_THROWS_WITH_AS(step(in), "host: host access while a step is being recorded", Error);
  peek = false;
  CHECK(step(in)[0].defined());
  CHECK(step(in)[0].defined());
  Step outer([&](const std::vector<Tensor>& x) { return step(x); });
  outer(in);
  CHECK_THROWS_WITH_AS(outer(in), "step: a step cannot run inside another step's recording", Error);
  CHECK_THROWS_WITH_AS(step({Tensor()}), "step: tensor is undefined", Error);
}

TEST_CASE("threads: trainings in several threads do not disturb each other") {
  const auto train = [](int count, std::vector<float>& out) {
    set_threads(count);
    Training training;
    Step step([&](const std::vector<Tensor>& in) { return training(in); });
    for (uint32_t i = 0; i < 10; ++i) step(batch(300, i));
    out = training.w.host<float>();
  };
  std::vector<float> alone, first, second;
  const int former = threads();
  train(1, alone);
  set_threads(former);
  std::thread a(train, 1, std::ref(first)), b(train, 2, std::ref(second));
  a.join();
  b.join();
  CHECK(first == alone);
  CHECK(second == alone);
}

TEST_CASE("pool: buckets, reuse, statistics, canaries") {
  Pool pool(Device::cpu, Pool::Guard::on);
  auto* p = static_cast<unsigned char*>(pool.allocate(1000));
  CHECK(reinterpret_cast<uintptr_t>(p) % 256 == 0);
  CHECK(pool.stats().in_use == 1024);
  p[999] = 0;
  pool.release(p, 1000);
  CHECK(pool.overruns() == 0);
  CHECK(pool.allocate(900) == p);  // reused
  CHECK(pool.system_allocations() == 1);
  p[900] = 0;  // one byte behind
  pool.release(p, 900);
  CHECK(pool.overruns() == 1);
  for (size_t bytes : {0u, 1u, 257u, 5000u, 70000u, 1000000u}) {
    void* block = pool.allocate(bytes);
    const auto bucket = static_cast<size_t>(pool.stats().in_use);
    CHECK(bucket >= bytes);
    if (bytes > 1024) CHECK(static_cast<double>(bucket) < 1.26 * static_cast<double>(bytes));
    pool.release(block, bytes);
  }
  CHECK(pool.stats().in_use == 0);
  pool.trim();
  CHECK(pool.stats().reserved == 0);
  CHECK_THROWS_AS(pool.allocate(size_t{1} << 60), Error);
}

TEST_CASE("step: inputs that are the step's own buffers, in another order") {
  Step swap([](const std::vector<Tensor>& in) { return std::vector<Tensor>{in[1], in[0]}; });
  std::vector<Tensor> v{Tensor::full({1}, 1), Tensor::full({1}, 2)};
  for (int i = 0; i < 6; ++i) {
    v = swap(v);
    CHECK(v[0].item<float>() == (i % 2 ? 1 : 2));
    CHECK(v[1].item<float>() == (i % 2 ? 2 : 1));
  }
}

TEST_CASE("step: a first call that fails leaves nothing behind, so its checks run again") {
  Step step(
      [](const std::vector<Tensor>& in) { return std::vector<Tensor>{gather(in[0], in[1])}; });
  const Tensor x({2, 3}), bad = Tensor::from(std::vector<int32_t>{7}, {1});
  CHECK_THROWS_AS(step({x, bad}), Error);
  CHECK_THROWS_AS(step({x, bad}), Error);
}

TEST_CASE("step: active tapes and trimming while recording are refused") {
  Step step([](const std::vector<Tensor>& in) { return std::vector<Tensor>{square(in[0])}; });
  {
    Tape tape;
    CHECK_THROWS_WITH_AS(step({Tensor({1})}), "step: a step cannot run under an active tape",
                         Error);
  }
  Step trim([](const std::vector<Tensor>& in) {
    release_cached_memory();
    return in;
  });
  trim({Tensor({1})});
  CHECK_THROWS_WITH_AS(trim({Tensor({1})}), "release_cached_memory: a step is being recorded",
                       Error);
}
