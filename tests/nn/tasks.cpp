// Golden values: NumPy 2.4 running the formulas of compare.h, in f32 but for the functions and the
// teacher's layers, which are evaluated in f64 and rounded. With these NumPy gives the same bits as
// make_task; all in f32 it differs from it by 2.4e-6 at most (y of 4 kinds, 8 sizes, 3 seeds).
#include <doctest/doctest.h>

#include <cmath>

#include "sinew/compare.h"
#include "sinew/error.h"
#include "sinew/metrics.h"
#include "sinew/ops.h"

using namespace sinew;
using Floats = std::vector<float>;

namespace {

// y of the first of two rows of 1 to 11 features.
Floats first_targets(TaskKind kind) {
  Floats out;
  for (int64_t features = 1; features <= 11; ++features)
    out.push_back(make_task({kind, features, 1, 1, 5}).y.item<float>());
  return out;
}

// Test error of predicting the mean of the training targets, over three seeds.
double mean_level(TaskKind kind) {
  double sum = 0;
  for (int64_t seed : {0, 1, 2}) {
    const Task task = make_task({kind, 64, 8192, 2048, seed});
    const double level = mean(task.y).value();
    sum += regression_metrics(Tensor::full({2048, 1}, level), task.test_y).mse;
  }
  return sum / 3;
}

std::string error(const TaskOptions& options) {
  try {
    make_task(options);
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("tasks: sine and mixed have the terms of 1 to 11 features") {
  CHECK(first_targets(TaskKind::sine) ==
        Floats{-0.50794595f, -0.8281191f, -0.9125538f, -0.85798883f, -1.2001522f, -1.2886504f,
               -1.230593f, -1.2449219f, -1.2722015f, -1.2764027f, -1.2438914f});
  CHECK(first_targets(TaskKind::mixed) ==
        Floats{0.21347791f, 0.21436697f, 0.12993227f, 0.18187107f, -0.16029228f, -0.30892134f,
               -0.25086397f, -0.17424792f, -0.2015275f, -0.5596516f, -0.5271402f});
}

TEST_CASE("tasks: rows come in order, first those for training") {
  const Task task = make_task({TaskKind::sine, 3, 2, 1, 0});
  CHECK(task.x.host<float>() ==
        Floats{0.54784673f, -0.92085314f, -1.836106f, -1.9338895f, 1.253081f, 1.6510223f});
  CHECK(task.test_x.host<float>() == Floats{0.42654312f, 0.9179862f, 0.17449996f});
  CHECK(task.y.shape() == Shape({2, 1}));
  CHECK(task.test_y.shape() == Shape({1, 1}));
  CHECK(!task.teacher_hidden);
}

TEST_CASE("tasks: teachers") {
  const Task relu = make_task({TaskKind::teacher_relu, 5, 4, 2, 3});
  const Task tanh = make_task({TaskKind::teacher_tanh, 5, 4, 2, 3});
  const Floats x{2.040919f, -2.555665f, 0.41809884f, -0.5677696f, -0.4526493f};
  for (const Task* task : {&relu, &tanh}) {
    CHECK(task->x.rows(0, 1).host<float>() == x);
    CHECK(*task->teacher_hidden == std::array<int64_t, 2>{32, 16});
  }
  CHECK(relu.y.host<float>() == Floats{-1.3936241f, -2.292394f, 0.28151515f, 0.22846659f});
  CHECK(relu.test_y.host<float>() == Floats{0.323757f, -0.0377822f});
  CHECK(tanh.y.host<float>() == Floats{1.8842095f, 0.2467522f, 2.2092881f, -0.22906072f});
  CHECK(tanh.test_y.host<float>() == Floats{2.4831138f, 1.2367595f});
  CHECK(*make_task({TaskKind::teacher_relu, 20, 1, 1, 0}).teacher_hidden ==
        std::array<int64_t, 2>{80, 40});
  CHECK(*make_task({TaskKind::teacher_relu, 200, 1, 1, 0}).teacher_hidden ==
        std::array<int64_t, 2>{256, 256});
}

TEST_CASE("tasks: a teacher's rows do not depend on how many are evaluated at once") {
  const Task task = make_task({TaskKind::teacher_tanh, 2, 4099, 1, 0});
  CHECK(task.y.rows(4094, 5).host<float>() ==
        Floats{-1.7044516f, -0.8550184f, -1.3577517f, -1.2261845f, -1.3242606f});
}

TEST_CASE("tasks: the published levels of predicting the mean") {
  CHECK(std::abs(mean_level(TaskKind::sine) - 0.738) < 1e-3);
  CHECK(std::abs(mean_level(TaskKind::mixed) - 0.267) < 1e-3);
  CHECK(std::abs(mean_level(TaskKind::teacher_relu) - 0.990) < 1e-3);
}

TEST_CASE("tasks: names, and sizes out of range") {
  for (TaskKind kind :
       {TaskKind::sine, TaskKind::mixed, TaskKind::teacher_relu, TaskKind::teacher_tanh})
    CHECK(parse_task(name(kind)) == kind);
  CHECK(parse_task(" Mixed") == TaskKind::mixed);
  CHECK_THROWS_WITH_AS(parse_task("teacher"),
                       "task: unknown name (teacher; nearest is teacher_relu)", Error);
  CHECK(error({.features = 0}) ==
        "task: a size outside [1, 2^31) (features 0, train_rows 4096, test_rows 1024)");
  CHECK(error({.train_rows = int64_t{1} << 31}) ==
        "task: a size outside [1, 2^31) (features 16, train_rows 2147483648, test_rows 1024)");
  CHECK(error({.test_rows = -1}) ==
        "task: a size outside [1, 2^31) (features 16, train_rows 4096, test_rows -1)");
  CHECK(error({.features = 1 << 20, .train_rows = 2047, .test_rows = 1}) ==
        "task: 2^31 or more elements (rows 2048, features 1048576)");
}
