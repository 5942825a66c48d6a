// Steps and the device of a thread on the GPU: captured, replayed, refused; memory and transfers.
#include "sinew/step.h"

#include <doctest/doctest.h>

#include <thread>

#include "cuda/parity.h"
#include "nn/uniform.h"
#include "sinew/compare.h"
#include "sinew/error.h"
#include "sinew/geo.h"
#include "sinew/nn.h"
#include "sinew/ops.h"
#include "sinew/train.h"
#ifdef SINEW_EMULATE_CUDA
#include "cuda/cuda.h"
#endif

using namespace sinew;
using namespace sinew::test;

namespace {

NetworkConfig config_of(ActivationKind activation, ModelKind model = ModelKind::geo_sparse) {
  NetworkConfig config;
  config.model = model;
  config.connectivity.shape = {4, 4};
  config.connectivity.seed = 0;
  config.input_dim = 16;
  config.hidden_dim = 12;
  config.depth = 2;
  config.drop_path_max = 0.5;
  config.residual_alpha_init = 0.5;
  config.activation = activation;
  config.activation_config.types = {ActivationKind::psann, ActivationKind::relu};
  return config;
}

struct Trained {
  std::vector<float> weights;
  std::vector<double> losses;
};

// 20 steps of batches of 16 and 4 rows under a cosine schedule with warm-up, with clipping.
Trained train(const NetworkConfig& config, DType type, Recording recording) {
  TorchGenerator generator(0);
  seed_masks(3);
  const auto net = make_network(config, generator);
  net->to(type);
  TrainOptions options;
  options.epochs = 4;
  options.batch_size = 16;
  options.schedule = {.curve = Curve::cosine, .lr = 1e-2, .warmup_steps = 3};
  options.clip_norm = 1;
  options.recording = recording;
  Trainer trainer(*net, {uniform({68, 16}, 1), uniform({68, 1}, 2)}, options, generator);
  while (trainer.step()) {
  }
  Trained out;
  for (const Parameter& p : net->parameters())
    for (const float v : p.tensor->host<float>()) out.weights.push_back(v);
  for (const EpochRecord& r : trainer.history()) out.losses.push_back(r.train_loss);
  CHECK(trainer.steps_done() == 20);
  return out;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

}  // namespace

TEST_CASE("cuda step: 20 replayed steps equal 20 eager ones, bit for bit, and the CPU's nearly") {
  struct Case {
    ActivationKind activation;
    ModelKind model;
  };
  for (const Case& c : {Case{ActivationKind::psann, ModelKind::geo_sparse},
                        Case{ActivationKind::mixed, ModelKind::geo_sparse},
                        Case{ActivationKind::relu_sigmoid_psann, ModelKind::mlp},
                        Case{ActivationKind::phase_psann, ModelKind::dense_residual}}) {
    const NetworkConfig config = config_of(c.activation, c.model);
    INFO(name(c.activation));
    const Trained cpu = train(config, DType::f32, Recording::on);
    const OnDevice cuda(Device::cuda);
    for (const DType type : {DType::f32, DType::bf16}) {
      const Trained eager = train(config, type, Recording::off),
                    replayed = train(config, type, Recording::on);
      CHECK(eager.weights == replayed.weights);
      CHECK(eager.losses == replayed.losses);
      // 20 Adam steps of up to 1e-2 moved each weight by up to 0.2; f32 differs by roundings.
      CHECK(largest_difference(eager.weights, cpu.weights) < (type == DType::f32 ? 1e-4 : 0.1));
      for (size_t i = 0; i < cpu.losses.size(); ++i)
        CHECK(eager.losses[i] ==
              doctest::Approx(cpu.losses[i]).epsilon(type == DType::f32 ? 1e-5 : 0.02));
    }
  }
}

namespace {

// Batches of 8, 8, 8, 8 and 4 rows in their own order; a row of the third one is infinite.
struct WithOneBadBatch {
  TorchGenerator generator{0};
  std::unique_ptr<Network> net;
  std::unique_ptr<Trainer> trainer;

  explicit WithOneBadBatch(OnNonfinite choice, Recording recording = Recording::on) {
    NetworkConfig config = config_of(ActivationKind::psann);
    config.drop_path_max = 0;
    net = make_network(config, generator);
    std::vector<float> y = uniform({36, 1}, 2).host<float>();
    y[20] = INFINITY;
    TrainOptions options;
    options.epochs = 2;
    options.batch_size = 8;
    options.shuffle = Shuffle::no;
    options.on_nonfinite = choice;
    options.recording = recording;
    trainer = std::make_unique<Trainer>(
        *net, TrainData{uniform({36, 16}, 1), Tensor::from(y, {36, 1})}, options, generator);
  }
  std::vector<double> state(const std::string& name) const {
    for (const NamedTensor& t : trainer->state())
      if (t.name == name) return t.tensor.values();
    return {};
  }
};

}  // namespace

TEST_CASE("cuda step: a loss that is not finite ends the training where it was before the step") {
  for (const Device where : {Device::cpu, Device::cuda}) {
    const OnDevice scope(where);
    WithOneBadBatch two(OnNonfinite::stop);
    for (int i = 0; i < 2; ++i) two.trainer->step();
    const char* says = "train: loss or gradient is not finite (epoch 1, step 3)";
    const auto check = [&](const WithOneBadBatch& run) {
      CHECK(run.trainer->steps_done() == 2);
      for (const char* name : {"values", "optimizer.clock", "optimizer.second_moment"})
        CHECK(run.state(name) == two.state(name));
      CHECK(run.state("current")[1] == two.state("current")[1]);  // the sum of losses
      CHECK(run.state("step_ms").size() == 2);
    };
    // The CPU knows after the step; of a GPU's steps the host knows when it waits.
    const int calls = where == Device::cpu ? 3 : 5;
    WithOneBadBatch whole(OnNonfinite::stop);
    for (int i = 1; i < calls; ++i) CHECK(whole.trainer->step());
    CHECK_THROWS_WITH_AS(whole.trainer->step(), says, Error);
    check(whole);
    for (int i = 1; i < calls - 2; ++i) CHECK(whole.trainer->step());  // from step 3 on, again
    CHECK_THROWS_WITH_AS(whole.trainer->step(), says, Error);
    check(whole);
    if (where == Device::cpu) continue;
    WithOneBadBatch asked(OnNonfinite::stop), saved(OnNonfinite::stop);
    for (int i = 0; i < 3; ++i) CHECK(asked.trainer->step());
    CHECK_THROWS_WITH_AS(asked.trainer->last_step(), says, Error);
    check(asked);
    for (int i = 0; i < 4; ++i) CHECK(saved.trainer->step());
    CHECK_THROWS_WITH_AS(saved.trainer->state(), says, Error);
    check(saved);
  }
}

TEST_CASE("cuda step: a skipped step, eager and replayed, as on the CPU") {
  const auto run = [](Device where, Recording recording) {
    const OnDevice scope(where);
    WithOneBadBatch skipping(OnNonfinite::skip, recording);
    while (skipping.trainer->step()) {
    }
    const EpochRecord& last = skipping.trainer->history().back();
    CHECK(last.loss_nonfinite_steps == 1);
    CHECK(last.grad_nonfinite_steps == 1);
    CHECK(skipping.state("optimizer.clock")[1] == 8);
    std::vector<double> out = skipping.state("values");
    for (const double v : {last.train_loss, last.grad_norm_mean, last.grad_norm_max})
      out.push_back(v);
    return out;
  };
  const auto eager = run(Device::cuda, Recording::off), cpu = run(Device::cpu, Recording::on);
  CHECK(run(Device::cuda, Recording::on) == eager);
  REQUIRE(eager.size() == cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) CHECK(std::abs(eager[i] - cpu[i]) < 1e-5);
}

#ifdef SINEW_EMULATE_CUDA
TEST_CASE("cuda step: within an epoch a replayed training step waits for nothing") {
  const OnDevice cuda(Device::cuda);
  for (const Shuffle shuffle : {Shuffle::yes, Shuffle::no})
    for (const OnNonfinite choice : {OnNonfinite::stop, OnNonfinite::skip, OnNonfinite::ignore}) {
      TorchGenerator generator(0);
      const auto net = make_network(config_of(ActivationKind::psann), generator);
      TrainOptions options;
      options.batch_size = 8;
      options.schedule.curve = Curve::cosine;
      options.shuffle = shuffle;
      options.clip_norm = 1;
      options.on_nonfinite = choice;
      Trainer trainer(*net, {uniform({40, 16}, 1), uniform({40, 1}, 2)}, options, generator);
      for (int i = 0; i < 2; ++i) trainer.step();
      int64_t before = emulate::host_waits();
      for (int i = 0; i < 2; ++i) trainer.step();
      CHECK(emulate::host_waits() == before);
      trainer.step();  // the epoch's last: its record is read
      CHECK(trainer.epoch_ended());
      CHECK(emulate::host_waits() > before);
      trainer.step();
      before = emulate::host_waits();
      trainer.last_step();
      CHECK(emulate::host_waits() > before);
    }
}
#endif

TEST_CASE("cuda step: a replay allocates nothing, and results of one shape survive another's") {
  const OnDevice cuda(Device::cuda);
  Step step([](const std::vector<Tensor>& in) { return std::vector<Tensor>{affine(in[0], 2, 1)}; });
  const Tensor x = Tensor::full({40}, 3), small = Tensor::full({7}, 5);
  const Tensor first = step({x})[0], second = step({x})[0];
  CHECK(first.values() == second.values());
  const MemoryStats own = step.memory();
  step({small});
  const Tensor kept = step({small})[0];
  for (int i = 0; i < 3; ++i) CHECK(step({x})[0].values() == std::vector<double>(40, 7));
  CHECK(kept.values() == std::vector<double>(7, 11));
  CHECK(step.memory().reserved - own.reserved <= 3 * 256);  // of the other shape
  CHECK(step.recorded() == 2);
}

TEST_CASE("cuda step: what cannot be captured is refused, and the step can go on") {
  const OnDevice cuda(Device::cuda);
  const Tensor x = Tensor::full({2, 4}, 1);
  const auto refused = [&](const char* says, const std::function<void(const Tensor&)>& fault) {
    bool faulty = false;
    Step step([&](const std::vector<Tensor>& in) {
      const Tensor y = affine(in[0], 2, 0);
      if (faulty) fault(y);
      return std::vector<Tensor>{y};
    });
    step({x});
    faulty = true;
    CHECK_THROWS_WITH_AS(step({x}), says, Error);
    faulty = false;
    for (int i = 0; i < 3; ++i) CHECK(step({x})[0].values() == std::vector<double>(8, 2));
  };
  refused("host: host access while a step is being recorded", [](const Tensor& y) { y.values(); });
  refused("to: host access while a step is being recorded",
          [](const Tensor& y) { y.to(Device::cpu); });
  refused("tensor: host access while a step is being recorded",
          [](const Tensor& y) { Tensor(y).assign(std::vector<float>(8, 1)); });
  refused("synchronize: a step is being recorded", [](const Tensor&) { synchronize(); });
  refused("set_device: not inside a step", [](const Tensor&) { set_device(Device::cpu); });
  refused("release_cached_memory: a step is being recorded",
          [](const Tensor&) { release_cached_memory(); });
  refused("geo_linear: this connectivity's first use on cuda is in the recording of a step",
          [](const Tensor& y) {
            geo_linear(y, Tensor::full({4, 1}, 1), {}, make_connectivity(4, 4, 1, {0, 1, 2, 3}));
          });
}

TEST_CASE("cuda step: batches that are rows at odd places, products of every alignment") {
  const OnDevice cuda(Device::cuda);
  const auto run = [](Recording recording) {
    TorchGenerator generator(0);
    NetworkConfig config = config_of(ActivationKind::relu, ModelKind::dense_residual);
    config.input_dim = 3;
    config.hidden_dim = 5;
    const auto net = make_network(config, generator);
    TrainOptions options;
    options.epochs = 3;
    options.batch_size = 10;
    options.shuffle = Shuffle::no;
    options.recording = recording;
    Trainer trainer(*net, {uniform({40, 3}, 1), uniform({40, 1}, 2)}, options, generator);
    while (trainer.step()) {
    }
    std::vector<std::vector<float>> weights;
    for (const Parameter& p : net->parameters()) weights.push_back(p.tensor->host<float>());
    return weights;
  };
  CHECK(run(Recording::off) == run(Recording::on));
}

TEST_CASE("cuda device: tensors move, and meet only on the thread's device") {
  const Tensor here = Tensor::from(std::vector<float>{1, 2, 3}, {3});
  CHECK(here.to(Device::cpu).same_storage(here));
  const Tensor there = here.rows(1, 2).to(Device::cuda);
  CHECK(there.device() == Device::cuda);
  CHECK(device() == Device::cpu);
  CHECK(there.values() == std::vector<double>{2, 3});
  CHECK(there.to(Device::cpu).values() == std::vector<double>{2, 3});
  CHECK(Tensor({0}).to(Device::cuda).numel() == 0);
  CHECK_THROWS_WITH_AS(neg(there), "device: a tensor [2] is on cuda, this thread computes on cpu",
                       Error);
  const OnDevice cuda(Device::cuda);
  CHECK(neg(there).values() == std::vector<double>{-2, -3});
  CHECK_THROWS_WITH_AS(add(there, here.rows(0, 2)),
                       "device: a tensor [2] is on cpu, this thread computes on cuda", Error);
  CHECK_THROWS_WITH_AS(neg(Tensor::full({2}, 1, DType::f64)),
                       "neg: needs f32 or bf16 on cuda (f64)", Error);
}

TEST_CASE("cuda device: a tensor that another thread uses and drops") {
  const OnDevice cuda(Device::cuda);
  auto x = std::make_unique<Tensor>(Tensor::full({1000}, 3));
  synchronize();
  std::vector<double> seen;
  std::thread([&] {
    set_device(Device::cuda);
    const Tensor y = affine(*x, 2, 0);
    x.reset();
    seen = y.values();
  }).join();
  CHECK(seen == std::vector<double>(1000, 6));
  CHECK(Tensor::full({1000}, 1).values() == std::vector<double>(1000, 1));
}

TEST_CASE("cuda device: the stream of masks goes on where it was") {
  const auto former = mask_state();
  const auto draw = [] { return dropout(Tensor::full({40}, 1), 0.5).values(); };
  seed_masks(11);
  const auto first = draw(), second = draw();
  seed_masks(11);
  {
    const OnDevice cuda(Device::cuda);
    CHECK(draw() == first);
  }
  CHECK(draw() == second);
  set_mask_state(former);
}

TEST_CASE("cuda device: what is known of it") {
  CHECK(cuda_fault() == "");
  const CudaInfo gpu = cuda_info();
  CHECK(!gpu.name.empty());
  CHECK(gpu.major >= 7);
  CHECK(gpu.multiprocessors > 0);
  CHECK(gpu.memory > 0);
  CHECK(gpu.runtime >= 12000);
  const OnDevice cuda(Device::cuda);
  CHECK(memory().high_water >= 0);
  release_cached_memory();
  synchronize();
  CHECK_THROWS_AS(Tensor({int64_t{1} << 44}), Error);  // more than the GPU has
}

TEST_CASE("cuda: the tasks of the reference benchmark are the CPU's") {
  for (const TaskKind kind :
       {TaskKind::sine, TaskKind::mixed, TaskKind::teacher_relu, TaskKind::teacher_tanh}) {
    TaskOptions options;
    options.kind = kind;
    options.features = 16;
    options.train_rows = 20;
    options.test_rows = 5;
    const Task cpu = make_task(options);
    const OnDevice cuda(Device::cuda);
    const Task task = make_task(options);
    CHECK(task.x.device() == Device::cuda);
    CHECK(task.x.values() == cpu.x.values());
    CHECK(task.y.values() == cpu.y.values());
    CHECK(task.test_y.values() == cpu.test_y.values());
  }
}
