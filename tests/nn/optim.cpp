// Golden values: PyTorch 2.15 on the CPU, single-tensor implementations, f32.
#include "sinew/optim.h"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/step.h"

using namespace sinew;
using namespace sinew::test;
using Floats = std::vector<float>;

namespace {

Floats start() {
  Floats p;
  for (int i = 0; i < 7; ++i) p.push_back(static_cast<float>((i * 37 % 11 - 5) * 0.21));
  return p;
}
Floats gradient(int t) {
  Floats g;
  for (int i = 0; i < 7; ++i) g.push_back(static_cast<float>(((i * 13 + t * 7) % 9 - 4) * 0.37));
  return g;
}

using Make = std::unique_ptr<Optimizer> (*)(const ParameterBlock&);

// Five steps; the rate halves before the fourth.
Floats train(Make make, Floats* norms = nullptr) {
  Tensor p = Tensor::from(start(), {7});
  ParameterBlock block({{"p", &p}});
  const auto optimizer = make(block);
  for (int t = 0; t < 5; ++t) {
    if (t == 3) optimizer->set_lr(optimizer->lr() * 0.5);
    block.gradients.assign(gradient(t));
    if (norms) norms->push_back(clip_gradients(block, 2.5).item<float>());
    optimizer->step();
  }
  CHECK(optimizer->steps() == 5);
  CHECK(optimizer->lr() == 0.025);
  return p.host<float>();
}

// A few rounding errors of f32 per step at values near 1.
void check_close(const Floats& got, const Floats& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    CHECK(std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])) < 2.4e-7);
}

template <class Optim, class Options>
std::unique_ptr<Optimizer> make_with(const ParameterBlock& block, const Options& options) {
  return std::make_unique<Optim>(block, options);
}

}  // namespace

TEST_CASE("optim: five steps equal PyTorch's") {
  const auto run = [](Make make, const Floats& expected) { check_close(train(make), expected); };
  run(
      [](const ParameterBlock& b) {
        return make_with<Adam>(b, AdamOptions{.lr = 0.05, .weight_decay = 0.1});
      },
      {-0.975631297f, -0.0709548146f, 0.489591509f, -0.750740528f, -0.119446062f, 0.950030506f,
       -0.681669354f});
  run(
      [](const ParameterBlock& b) {
        return make_with<AdamW>(b, AdamOptions{.lr = 0.05, .weight_decay = 0.1});
      },
      {-0.968692839f, -0.119311295f, 0.482447356f, -0.743638217f, -0.119040325f, 0.940768242f,
       -0.680644274f});
  run(
      [](const ParameterBlock& b) {
        return make_with<AdamW>(b,
                                AdamOptions{.lr = 0.05, .beta1 = 0.4, .beta2 = 0.7, .eps = 1e-3});
      },
      {-1.01162708f, -0.125555843f, 0.549971819f, -0.790556192f, -0.0789945871f, 0.924981475f,
       -0.650031745f});
  run(
      [](const ParameterBlock& b) {
        return make_with<Sgd>(b, SgdOptions{.lr = 0.05, .weight_decay = 0.1});
      },
      {-0.888910353f, -0.0276150201f, 0.326958895f, -0.76390487f, -0.185116976f, 1.00994539f,
       -0.613942802f});
  run(
      [](const ParameterBlock& b) {
        return make_with<Sgd>(b, SgdOptions{.lr = 0.05, .momentum = 0});
      },
      {-1.01299989f, -0.135999992f, 0.574500024f, -0.858499944f, -0.0647500008f, 0.895499945f,
       -0.62075001f});
}

TEST_CASE("optim: clipping equals PyTorch's clip_grad_norm_") {
  Floats norms;
  const Make make = [](const ParameterBlock& b) {
    return make_with<Sgd>(b, SgdOptions{.lr = 0.05});
  };
  check_close(train(make, &norms), {-0.947806537f, -0.0373309404f, 0.360450715f, -0.802133381f,
                                    -0.17795445f, 1.04746616f, -0.638354957f});
  const Floats expected{2.6162951f, 2.42625237f, 2.53659225f, 2.45430231f, 2.66810799f};
  for (size_t i = 0; i < 5; ++i) CHECK(norms[i] == doctest::Approx(expected[i]).epsilon(1e-6));

  Tensor p = Tensor::from(Floats{1, 1}, {2});
  ParameterBlock block({{"p", &p}});
  block.gradients.assign(Floats{3, NAN});
  clip_gradients(block, 1);
  CHECK(std::isnan(block.gradients.host<float>()[0]));  // as PyTorch: NaN everywhere
  CHECK_THROWS_WITH_AS(clip_gradients(block, 0), "clip_gradients: max_norm is not above 0 (0)",
                       Error);
}

namespace {

// The formulas in f64, one element at a time.
double adamw_element(double p, const std::vector<double>& gradients, double lr, double decay) {
  double m = 0, v = 0, t = 0;
  for (double g : gradients) {
    ++t;
    p *= 1 - lr * decay;
    m += 0.1 * (g - m);
    v = 0.999 * v + 0.001 * g * g;
    p -=
        lr / (1 - std::pow(0.9, t)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.999, t)) + 1e-8);
  }
  return p;
}

}  // namespace

TEST_CASE("optim: every size, type, instruction set and number of threads") {
  const int before = threads();
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512})
    for (DType dtype : {DType::f32, DType::f64})
      for (int64_t n : {0, 1, 31, 33, 4097, 40000}) {
        if (!supports(level)) continue;
        set_isa(level);
        const Tensor first = random({n}, 1), g = random({n}, 2);
        std::vector<double> one;
        for (int count : {1, 3}) {
          set_threads(count);
          Tensor p = cast(first, dtype);
          ParameterBlock block({{"p", &p}});
          AdamW optimizer(block, {.lr = 0.01, .weight_decay = 0.1});
          block.gradients.assign(cast(g, dtype));
          for (int t = 0; t < 3; ++t) optimizer.step();
          if (count == 1) one = p.values();
          CHECK(p.values() == one);
        }
        const auto p0 = first.values(), g0 = g.values();
        double worst = 0;
        for (size_t i = 0; i < one.size(); ++i)
          worst = std::max(
              worst, std::abs(one[i] - adamw_element(p0[i], {g0[i], g0[i], g0[i]}, 0.01, 0.1)));
        CHECK(worst < (dtype == DType::f64 ? 1e-14 : 1e-6));
      }
  set_threads(before);
  set_isa(parse_isa("auto"));
}

TEST_CASE("optim: state goes to another optimizer, which continues with the same bits") {
  const auto run = [](int split) {
    Tensor p = Tensor::from(start(), {7});
    ParameterBlock block({{"p", &p}});
    auto optimizer = std::make_unique<AdamW>(block, AdamOptions{.lr = 0.05});
    for (int t = 0; t < 5; ++t) {
      if (t == split) {
        auto other = std::make_unique<AdamW>(block, AdamOptions{.lr = 9});
        other->set_state(optimizer->state());
        optimizer = std::move(other);
      }
      block.gradients.assign(gradient(t));
      optimizer->step();
    }
    return p.host<float>();
  };
  CHECK(run(3) == run(-1));

  Tensor p = Tensor::from(start(), {7});
  ParameterBlock block({{"p", &p}});
  Adam adam(block);
  Sgd sgd(block);
  CHECK(adam.state()[0].name == "clock");
  CHECK(adam.state()[1].name == "first_moment");
  CHECK(adam.state()[2].name == "second_moment");
  CHECK(sgd.state()[1].name == "velocity");
  CHECK_THROWS_WITH_AS(adam.set_state(sgd.state()), "adam: state has 2 tensors, not 3", Error);
  NamedTensors wrong = adam.state();
  wrong[2] = {"second_moment", Tensor({6})};
  CHECK_THROWS_WITH_AS(adam.set_state(wrong),
                       "adam: state 'second_moment' is not 'second_moment', f32 [7]", Error);
}

TEST_CASE("optim: a replayed step follows the learning rate and has the bits of an eager one") {
  const auto run = [](bool replay) {
    Tensor w = Tensor::from(start(), {7});
    ParameterBlock block({{"w", &w}});
    AdamW optimizer(block, {.lr = 0.05, .weight_decay = 0.1});
    const auto body = [&](const std::vector<Tensor>& in) {
      Tape tape;
      block.watch(tape);
      const Tensor loss = sum(square(sub(w, in[0])));
      block.backward(tape, loss);
      const Tensor norm = clip_gradients(block, 3);
      optimizer.step();
      return std::vector<Tensor>{loss, norm};
    };
    Step step(body);
    Floats out;
    for (int t = 0; t < 20; ++t) {
      optimizer.set_lr(0.05 / (t + 1));
      const std::vector<Tensor> input{Tensor::from(gradient(t), {7})};
      for (const Tensor& y : replay ? step(input) : body(input)) out.push_back(y.item<float>());
    }
    CHECK(optimizer.steps() == 20);
    for (float v : w.host<float>()) out.push_back(v);
    return out;
  };
  CHECK(run(true) == run(false));

  Tensor w = Tensor::from(start(), {7});
  ParameterBlock block({{"w", &w}});
  Sgd sgd(block);
  Step step([&](const std::vector<Tensor>&) {
    sgd.set_lr(1);
    return std::vector<Tensor>{w};
  });
  step({});  // eager
  CHECK_THROWS_WITH_AS(step({}), "tensor: host access while a step is being recorded", Error);
}

TEST_CASE("optim: hyper-parameters out of range") {
  Tensor p = Tensor::from(start(), {7});
  ParameterBlock block({{"p", &p}});
  CHECK_THROWS_WITH_AS(Adam(block, {.lr = -1}), "adam: lr is not a finite number >= 0 (-1)", Error);
  CHECK_THROWS_WITH_AS(AdamW(block, {.lr = NAN}), "adamw: lr is not a finite number >= 0 (nan)",
                       Error);
  CHECK_THROWS_WITH_AS(Adam(block, {.beta1 = 1}), "adam: beta1 is not in [0, 1) (1)", Error);
  CHECK_THROWS_WITH_AS(Adam(block, {.beta2 = -0.5}), "adam: beta2 is not in [0, 1) (-0.5)", Error);
  CHECK_THROWS_WITH_AS(AdamW(block, {.eps = -1e-8}),
                       "adamw: eps is not a finite number >= 0 (-1e-08)", Error);
  CHECK_THROWS_WITH_AS(AdamW(block, {.weight_decay = -0.1}),
                       "adamw: weight_decay is not a finite number >= 0 (-0.1)", Error);
  CHECK_THROWS_WITH_AS(Sgd(block, {.momentum = -0.9}),
                       "sgd: momentum is not a finite number >= 0 (-0.9)", Error);
  CHECK_THROWS_WITH_AS(Sgd(block, {.weight_decay = INFINITY}),
                       "sgd: weight_decay is not a finite number >= 0 (inf)", Error);
  Sgd sgd(block);
  CHECK_THROWS_WITH_AS(sgd.set_lr(-2), "sgd: lr is not a finite number >= 0 (-2)", Error);
}

TEST_CASE("optim: an update whose go is 0 changes nothing, nor the clock") {
  for (const Make make :
       {Make([](const ParameterBlock& b) { return make_with<Adam>(b, AdamOptions{}); }),
        Make([](const ParameterBlock& b) { return make_with<Sgd>(b, SgdOptions{}); })}) {
    Tensor p = Tensor::from(start(), {7}), go = Tensor::scalar(1, DType::f64);
    ParameterBlock block({{"p", &p}});
    const auto optimizer = make(block);
    const auto all = [&] {
      std::vector<std::vector<double>> out{p.values()};
      for (const NamedTensor& t : optimizer->state()) out.push_back(t.tensor.values());
      return out;
    };
    Step step([&](const std::vector<Tensor>&) {
      optimizer->step(go);
      return std::vector<Tensor>{};
    });
    for (int t = 0; t < 3; ++t) {  // eager, recorded, replayed
      block.gradients.assign(gradient(t));
      go.assign(1.0);
      const auto before = all();
      step({});
      const auto after = all();
      CHECK(after[0] != before[0]);
      CHECK(optimizer->steps() == t + 1);
      go.assign(0.0);
      block.gradients.assign(NAN);
      optimizer->step(go);
      CHECK(all() == after);
    }
    go.assign(0.0);
    const auto before = all();
    step({});
    CHECK(all() == before);
  }
}

TEST_CASE("optim: the tally of steps") {
  const auto tallied = [](OnNonfinite choice, DType dtype) {
    Tensor tally = Tensor::from(std::vector<double>{1, 0, 0, 0, 0, 0, 0, 0, 0}, {9});
    std::vector<double> go;
    const auto add = [&](double loss, double norm, int64_t rows) {
      tally_update(tally, Tensor::scalar(loss, dtype), Tensor::scalar(norm, dtype), rows, choice);
      go.push_back(tally.values()[0]);
    };
    add(0.5, 2, 16);
    add(0.25, INFINITY, 16);
    add(NAN, 3, 16);
    add(1.5, 1, 4);
    std::vector<double> out = tally.values();
    out.insert(out.end(), go.begin(), go.end());
    return out;
  };
  for (const DType dtype : {DType::f32, DType::f64}) {
    CHECK(tallied(OnNonfinite::skip, dtype) ==
          std::vector<double>{1, 4, 0.5 * 16 + 1.5 * 4, 20, 1, 1, 6, 3, 3, 1, 0, 0, 1});
    CHECK(tallied(OnNonfinite::stop, dtype) ==
          std::vector<double>{0, 1, 8, 16, 0, 0, 2, 2, 1, 1, 0, 0, 0});
    const auto all = tallied(OnNonfinite::ignore, dtype);
    CHECK(std::isnan(all[2]));
    CHECK(all[3] == 52);
    CHECK(std::vector<double>(all.begin() + 4, all.end()) ==
          std::vector<double>{1, 1, 6, 3, 3, 1, 1, 1, 1});
  }
  Tensor tally = Tensor::zeros({9}, DType::f64), loss = Tensor::scalar(1);
  CHECK_THROWS_WITH_AS(tally_update(loss, loss, loss, 1, OnNonfinite::skip),
                       "tally_update: tally is not f64 [9] (f32 [])", Error);
  CHECK_THROWS_WITH_AS(tally_update(tally, loss, Tensor({2}), 1, OnNonfinite::skip),
                       "tally_update: loss and norm have not one element each [] [2]", Error);
  CHECK_THROWS_WITH_AS(
      tally_update(tally, loss, Tensor::scalar(1, DType::f64), 1, OnNonfinite::skip),
      "tally_update: dtypes differ (f32, f64)", Error);
}

TEST_CASE("optim: pack puts parts one after the other") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tensor flat = Tensor::full({70009}, -1, dtype);
    const Tensor a = cast(random({2, 3}, 1), dtype), b = cast(random({70000}, 2), dtype),
                 c = cast(random({3}, 3), dtype);
    pack(flat, {a, Tensor({0}, dtype), b, c});
    std::vector<double> expected;
    for (const Tensor& t : {a, b, c})
      for (const double v : t.values()) expected.push_back(v);
    CHECK(flat.values() == expected);
  }
  Tensor flat({3}), table({3, 1}), narrow({3}, DType::i32);
  CHECK_THROWS_WITH_AS(pack(flat, {Tensor({2})}), "pack: 2 elements for [3]", Error);
  CHECK_THROWS_WITH_AS(pack(flat, {Tensor({3}, DType::f64)}), "pack: dtypes differ (f32, f64)",
                       Error);
  CHECK_THROWS_WITH_AS(pack(flat, {Tensor()}), "pack: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(pack(table, {Tensor({3})}), "pack: flat is not a vector: [3, 1]", Error);
  CHECK_THROWS_WITH_AS(pack(narrow, {}), "pack: needs f32 or f64 (i32)", Error);
}

TEST_CASE("optim: update ops check their tensors") {
  Tensor p({3}), g({4}), m({3}), v({3}), clock = Tensor::zeros({2}, DType::f64), none;
  Tensor bad_clock({2});
  CHECK_THROWS_WITH_AS(adam_update(p, g, m, v, clock, {}),
                       "adam_update: g is f32 [4] for p f32 [3]", Error);
  CHECK_THROWS_WITH_AS(adam_update(p, m, m, v, bad_clock, {}),
                       "adam_update: clock is not f64 [2] (f32 [2])", Error);
  CHECK_THROWS_WITH_AS(sgd_update(p, m, g, clock, {}),
                       "sgd_update: velocity is f32 [4] for p f32 [3]", Error);
  CHECK_THROWS_WITH_AS(sgd_update(p, none, m, clock, {}), "sgd_update: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(adam_update(p, m, m, v, clock, {.go = p}),
                       "adam_update: go is not one f64 (f32 [3])", Error);
  CHECK_THROWS_WITH_AS(sgd_update(p, m, none, clock, {.go = clock}),
                       "sgd_update: go is not one f64 (f64 [2])", Error);
  CHECK_THROWS_WITH_AS(clip_update(p, g, 1), "clip_update: norm has not one element [4]", Error);
  CHECK_THROWS_WITH_AS(clip_update(p, Tensor::scalar(1, DType::f64), 1),
                       "clip_update: dtypes differ (f32, f64)", Error);
}

TEST_CASE("schedule: constant, linear, cosine, step, warm-up") {
  Schedule s{.lr = 2};
  CHECK(s.at(0, 10) == 2);
  CHECK(s.at(9, 10) == 2);
  s = {.curve = Curve::linear, .lr = 2, .lr_min = 1};
  CHECK(s.at(0, 5) == 2);
  CHECK(s.at(1, 5) == 1.75);
  CHECK(s.at(4, 5) == 1);
  CHECK(s.at(99, 5) == 1);
  CHECK(s.at(0, 1) == 1);
  s.curve = Curve::cosine;
  CHECK(s.at(0, 5) == 2);
  CHECK(s.at(1, 5) == doctest::Approx(1.5 + 0.5 * std::sqrt(0.5)));
  CHECK(s.at(2, 5) == doctest::Approx(1.5));
  CHECK(s.at(4, 5) == 1);
  s = {.curve = Curve::step, .lr = 8, .step_size = 2, .gamma = 0.5};
  CHECK(s.at(1, 9) == 8);
  CHECK(s.at(2, 9) == 4);
  CHECK(s.at(5, 9) == 2);
  s = {.curve = Curve::linear, .lr = 4, .lr_min = 0, .warmup_steps = 3};
  CHECK(s.at(0, 8) == 1);
  CHECK(s.at(2, 8) == 3);
  CHECK(s.at(3, 8) == 4);
  CHECK(s.at(5, 8) == 2);
  CHECK(s.at(7, 8) == 0);
  CHECK(s.at(1, 2) == 2);  // shorter than the warm-up
}

TEST_CASE("schedule: values out of range") {
  const auto message = [](const Schedule& s) {
    try {
      s.at(1, 10);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK(message({.lr = -1}) == "schedule: lr is not a finite number >= 0 (-1)");
  CHECK(message({.lr_min = -1}) == "schedule: lr_min is not a finite number >= 0 (-1)");
  CHECK(message({.gamma = NAN}) == "schedule: gamma is not a finite number >= 0 (nan)");
  CHECK(message({.step_size = 0}) ==
        "schedule: a count is out of range (step 1, total 10, warmup_steps 0, step_size 0)");
  CHECK_THROWS_AS(Schedule{}.at(-1, 10), Error);
  CHECK_THROWS_AS(Schedule{}.at(0, 0), Error);
}
