// The synthetic tasks of the psann package's benchmark. Formulas and the order of draws stand with
// the declarations (compare.h). Elementary functions and the teacher's products are evaluated in
// f64 and rounded once: f32 versions differ between C libraries and instruction sets.
#include <algorithm>
#include <cmath>

#include "nn/config_value.h"
#include "nn/on_cpu.h"
#include "sinew/compare.h"
#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

const std::vector<std::string> names = {"sine", "mixed", "teacher_relu", "teacher_tanh"};

float sine(float x) { return static_cast<float>(std::sin(static_cast<double>(x))); }
float cosine(float x) { return static_cast<float>(std::cos(static_cast<double>(x))); }
float tangent(float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); }
float cube(float x) {
  const double v = x;
  return static_cast<float>(v * v * v);
}

float sine_target(const float* x, int64_t features) {
  float y = sine(3.0f * x[0]);
  if (features >= 2) y += 0.5f * cosine(2.0f * x[1]);
  if (features >= 4) y += 0.2f * x[2] * x[3];
  if (features >= 5) y -= 0.1f * (x[4] * x[4]);
  if (features >= 6) y += 0.05f * sine(x[5] * x[0]);
  return y;
}

float mixed_target(const float* x, int64_t features) {
  float y = 0.35f * sine(2.0f * x[0]);
  if (features >= 2) y += 0.25f * cosine(1.5f * x[1]);
  if (features >= 4) y += 0.25f * x[2] * x[3];
  if (features >= 5) y -= 0.1f * (x[4] * x[4]);
  if (features >= 6) y += 0.2f * tangent(x[5]);
  if (features >= 7) y += 0.15f * std::max(0.0f, x[6]);
  if (features >= 8) y += 0.1f * (x[7] > 0 ? x[7] * x[7] : -0.5f * x[7]);
  if (features >= 10) {
    y += 0.05f * cube(x[8]);
    y -= 0.03f * x[9];
  }
  return y;
}

// f64, rounded to f32.
Tensor normals(NumpyGenerator& generator, const Shape& shape, double deviation) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (double& v : values) v = static_cast<float>(generator.normal(0, deviation));
  return Tensor::from(values, shape);
}

struct Teacher {
  struct Layer {
    Layer(int64_t inputs, int64_t outputs, NumpyGenerator& generator)
        : weight(normals(generator, {inputs, outputs}, 1 / std::sqrt(static_cast<double>(inputs)))),
          bias(normals(generator, {outputs}, 1 / std::sqrt(static_cast<double>(inputs)))) {}
    Tensor operator()(const Tensor& x) const {
      return matmul(x, weight, Trans::no, Trans::no, bias);
    }
    Tensor weight, bias;
  };
  Teacher(int64_t inputs, const std::array<int64_t, 2>& hidden, NumpyGenerator& generator)
      : first(inputs, hidden[0], generator),
        second(hidden[0], hidden[1], generator),
        head(hidden[1], 1, generator) {}
  Layer first, second, head;
};

std::vector<float> teacher_targets(const Teacher& teacher, TaskKind kind, const Tensor& x) {
  const auto act = [&](const Tensor& z) {
    return kind == TaskKind::teacher_relu ? relu(z) : tanh(z);
  };
  constexpr int64_t rows_at_once = 4096;  // bounds the memory of the hidden layers
  std::vector<float> y;
  for (int64_t first = 0; first < x.dim(0); first += rows_at_once) {
    const Tensor part = x.rows(first, std::min(rows_at_once, x.dim(0) - first));
    const Tensor out =
        teacher.head(act(teacher.second(act(teacher.first(cast(part, DType::f64))))));
    for (double v : out.host<double>()) y.push_back(static_cast<float>(v));
  }
  const auto column = Tensor::from(y, {x.dim(0), 1});
  const float deviation = standard_scaler(column).scale.item<float>();
  for (float& v : y) v /= deviation;
  return y;
}

int64_t checked_rows(const TaskOptions& o) {
  for (int64_t size : {o.features, o.train_rows, o.test_rows})
    if (size < 1 || size > INT32_MAX)
      throw Error("task: a size outside [1, 2^31) (features " + std::to_string(o.features) +
                  ", train_rows " + std::to_string(o.train_rows) + ", test_rows " +
                  std::to_string(o.test_rows) + ")");
  const int64_t rows = o.train_rows + o.test_rows;
  if (rows > INT32_MAX / o.features)
    throw Error("task: 2^31 or more elements (rows " + std::to_string(rows) + ", features " +
                std::to_string(o.features) + ")");
  return rows;
}

}  // namespace

const char* name(TaskKind kind) { return names[static_cast<size_t>(kind)].c_str(); }

TaskKind parse_task(const std::string& text) {
  return static_cast<TaskKind>(choose("task", "name", text, names));
}

namespace {

Task on_cpu(const TaskOptions& o) {
  const int64_t rows = checked_rows(o), n = o.features;
  const bool taught = o.kind == TaskKind::teacher_relu || o.kind == TaskKind::teacher_tanh;
  NumpyGenerator generator(o.seed);
  std::vector<float> x(static_cast<size_t>(rows * n));
  for (float& v : x) v = static_cast<float>(taught ? generator.normal() : generator.uniform(-2, 2));
  const Tensor inputs = Tensor::from(x, {rows, n});

  Task task;
  std::vector<float> y;
  if (taught) {
    task.teacher_hidden = {std::clamp<int64_t>(4 * n, 32, 256),
                           std::clamp<int64_t>(2 * n, 16, 256)};
    y = teacher_targets(Teacher(n, *task.teacher_hidden, generator), o.kind, inputs);
  } else {
    const auto target = o.kind == TaskKind::sine ? sine_target : mixed_target;
    for (int64_t row = 0; row < rows; ++row) y.push_back(target(x.data() + row * n, n));
  }
  for (float& v : y) v += 0.05f * static_cast<float>(generator.normal());
  const Tensor targets = Tensor::from(y, {rows, 1});
  task.x = inputs.rows(0, o.train_rows);
  task.y = targets.rows(0, o.train_rows);
  task.test_x = inputs.rows(o.train_rows, o.test_rows);
  task.test_y = targets.rows(o.train_rows, o.test_rows);
  return task;
}

}  // namespace

// On the CPU, since teachers compute in f64; the same task for every device.
Task make_task(const TaskOptions& o) {
  Task task = (OnCpu(), on_cpu(o));
  for (Tensor* t : {&task.x, &task.y, &task.test_x, &task.test_y}) *t = t->to(device());
  return task;
}

}  // namespace sinew
