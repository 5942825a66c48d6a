// What a replayed step asks of the host's memory: nothing. Counts operator new in all threads of
// the test program, so this file is left out under sanitizers, which bring their own.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "nn/uniform.h"
#include "sinew/step.h"
#include "sinew/train.h"

using namespace sinew;
using test::uniform;

namespace {
std::atomic<int64_t> allocations{0};
}

void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* block = std::malloc(bytes > 0 ? bytes : 1)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace {

template <class F>
int64_t allocations_of(const F& f) {
  const int64_t before = allocations;
  f();
  return allocations - before;
}

// 16 x 16 neurons and 300 rows: enough work for two threads.
NetworkConfig config_of(ModelKind model, ActivationKind activation) {
  NetworkConfig config;
  config.model = model;
  config.connectivity.shape = {16, 16};
  config.connectivity.seed = 0;
  config.input_dim = 256;
  config.hidden_dim = 32;
  config.depth = 1;
  config.drop_path_max = 0.3;
  config.activation = activation;
  return config;
}

}  // namespace

TEST_CASE("allocations: a replayed step makes none, whether its inputs are a list or a vector") {
  const int before = threads();
  for (const int count : {1, 2}) {
    set_threads(count);
    Step step([](const std::vector<Tensor>& in) {
      return std::vector<Tensor>{matmul(in[0], in[1]), sin(in[0])};
    });
    const std::vector<Tensor> in{uniform({300, 200}, 1), uniform({200, 8}, 2)};
    CHECK(allocations_of([&] { step(in); }) > 0);
    step(in);
    const Tensor *first = step(in).data(), *again = nullptr;
    CHECK(allocations_of([&] { again = step(in).data(); }) == 0);
    CHECK(again == first);
    CHECK(allocations_of([&] { step({in[0], in[1]}); }) == 0);
  }
  set_threads(before);
}

TEST_CASE("allocations: within an epoch a training makes none from its third step on") {
  const int before = threads();
  for (const ModelKind model : {ModelKind::geo_sparse, ModelKind::dense_residual})
    for (const Shuffle shuffle : {Shuffle::yes, Shuffle::no})
      for (const OnNonfinite choice : {OnNonfinite::stop, OnNonfinite::skip})
        for (const int count : {1, 2}) {
          set_threads(count);
          TorchGenerator generator(0);
          const auto net = make_network(config_of(model, ActivationKind::psann), generator);
          TrainOptions options;
          options.batch_size = 300;
          options.schedule = {.curve = Curve::cosine, .warmup_steps = 2};
          options.shuffle = shuffle;
          options.clip_norm = 1;
          options.on_nonfinite = choice;
          Trainer trainer(*net, {uniform({1800, 256}, 1), uniform({1800, 1}, 2)}, options,
                          generator);
          trainer.step();
          trainer.step();
          CHECK(allocations_of([&] {
                  for (int i = 0; i < 3; ++i) trainer.step();
                }) == 0);
          CHECK(trainer.step());
          CHECK(trainer.epoch_ended());
        }
  set_threads(before);
}
