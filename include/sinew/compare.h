// A comparison of geo-sparse with dense networks, as in the benchmark of the psann package: the
// synthetic tasks, the data as the networks see them, and dense networks of matched size.
//
//     const Task task = make_task({.kind = TaskKind::mixed, .features = 64, .seed = seed});
//     const ComparisonData data = prepare(task, {.scale_x = true, .scale_y = true, .seed = seed});
//     TorchGenerator generator(seed);
//     std::vector<std::unique_ptr<Network>> nets;
//     for (const Contender& c : contenders(geo)) nets.push_back(make_network(c.config, generator));
//     for (const auto& net : nets) show(run_contender(*net, data, options, generator).scores.test);
//     for (const ReferenceLine& line : reference_lines(data)) show(line.scores.test);
//
// All networks are built before the first one is trained, and one generator serves all: then curves
// are the reference's.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sinew/data.h"
#include "sinew/metrics.h"
#include "sinew/nn.h"
#include "sinew/params.h"
#include "sinew/train.h"

namespace sinew {

// --- synthetic tasks ------------------------------------------------------------------------
// Rows x of n features and one output y, with xi the feature i. Terms of features that a row does
// not have are left out (x8 and x9 only together).
//   sine:  x uniform in [-2, 2)
//     y = sin(3 x0) + 0.5 cos(2 x1) + 0.2 x2 x3 - 0.1 x4^2 + 0.05 sin(x5 x0)
//   mixed: x uniform in [-2, 2)
//     y = 0.35 sin(2 x0) + 0.25 cos(1.5 x1) + 0.25 x2 x3 - 0.1 x4^2 + 0.2 tanh(x5)
//         + 0.15 max(0, x6) + 0.1 (x7^2 if x7 > 0, else -0.5 x7) + 0.05 x8^3 - 0.03 x9
//   teacher_relu, teacher_tanh: x standard normal
//     y = a(a(x W1 + b1) W2 + b2) W3 + b3, divided by its population standard deviation over all
//     rows; widths h1 = 4 n within [32, 256], h2 = 2 n within [16, 256]; weights and biases normal
//     with deviation 1 / sqrt(inputs of the layer)
// Then 0.05 times a standard normal number is added to each y.
enum class TaskKind : uint8_t { sine, mixed, teacher_relu, teacher_tanh };
const char* name(TaskKind kind);
TaskKind parse_task(const std::string& text);  // the names above, in any case

struct TaskOptions {
  TaskKind kind = TaskKind::mixed;
  int64_t features = 16;
  int64_t train_rows = 4096, test_rows = 1024;
  int64_t seed = 0;
};
struct Task {
  Tensor x, y, test_x, test_y;                           // f32 (rows, features) and (rows, 1)
  std::optional<std::array<int64_t, 2>> teacher_hidden;  // h1, h2
};
// Draws from NumpyGenerator(seed): x row by row, then W1, b1, W2, b2, W3, b3, then the noise; the
// first train_rows rows are for training. Draws are rounded to f32; y is evaluated in f32,
// functions and the teacher in f64 and then rounded, so that it does not depend on the instruction
// set. NumPy's values differ by roundings. Throws for sizes below 1 and for 2^31 or more elements
// in x.
Task make_task(const TaskOptions& options);

// --- data -----------------------------------------------------------------------------------
struct PrepareOptions {
  double validation_fraction = 0.1;  // of the training rows; <= 0: no validation part
  bool scale_x = false, scale_y = false;
  int64_t seed = 0;  // of split_rows
};
struct ComparisonData {
  TrainData data;  // x and y scaled
  Tensor test_x;   // scaled
  Tensor test_y;   // not scaled
  std::optional<Scaler> x_scaler, y_scaler;
  Tensor unscaled(const Tensor& y) const;  // predictions or targets in the task's units
};
// Splits the training rows (split_rows), then scales with standard_scaler of the training part.
ComparisonData prepare(const Task& task, const PrepareOptions& options);

// --- networks -------------------------------------------------------------------------------
struct ContenderOptions {
  // dense_resrelu and dense_respsann are residual nets (DenseResidualNet), dense_relu and
  // dense_psann plain ones (Mlp).
  std::vector<std::string> baselines = {"dense_resrelu", "dense_respsann"};
  std::optional<int64_t> dense_depth = std::nullopt;  // none: that of geo
  int64_t max_width = 4096;
};
struct Contender {
  std::string name;  // geo_sparse, or one of the baselines
  NetworkConfig config;
  // Of a dense net both are its empirical count, as in the reference's files.
  ParameterCount parameters;
  std::optional<WidthMatch> match;  // of a dense net
};
// geo_sparse, then the baselines always in the order above, each once: the order in which they are
// to be built. The width of a dense net is the one of 1 .. max_width whose empirical count is
// closest to geo's (params.h). Norm and residual_alpha_init are geo's, and so is the
// activation_config of the psann nets. Throws for what is no geo_sparse, for unknown baselines, and
// for depths and max_width outside [1, 2^20].
std::vector<Contender> contenders(const NetworkConfig& geo, const ContenderOptions& options = {});

// --- runs -----------------------------------------------------------------------------------
// Of one part of the data, in the task's units: figures of a regression or of a classification.
struct Score {
  double loss = 0;  // mse, or the mean cross-entropy (natural logarithm); NaN if there is none
  std::optional<RegressionMetrics> regression;
  std::optional<ClassMetrics> classes;
};
struct Scores {
  Score train, test;
  std::optional<Score> validation;
};
// After an epoch.
struct CurvePoint {
  int64_t epoch = 0;               // from 1
  double train_loss = 0;           // mean of the batch losses, of the scaled target
  double test_loss = 0;            // Score::loss
  std::optional<double> val_loss;  // Score::loss
  std::optional<double> test_accuracy, val_accuracy;  // of a classification
};
struct ContenderRun {
  Scores scores;  // after the last epoch
  // The epoch with the smallest validation loss, without validation rows the smallest training
  // loss (never the test loss), and the scores then (training rows: not measured, empty).
  int64_t best_epoch = 0;  // 0: no loss was finite
  Score best_test;
  std::optional<Score> best_validation;
  std::vector<CurvePoint> curve;
  std::vector<StepTime> steps;
  double total_s = 0;       // from before the first step to after the last epoch's evaluation
  double evaluation_s = 0;  // of that, validation and test rows after every epoch
  double grad_norm_max = 0;
  int64_t loss_nonfinite_steps = 0, grad_nonfinite_steps = 0;
  // High-water marks of the thread's pool and of the recorded steps' pools, added up: network,
  // moments, gradients, activations, a batch. Without the data, other networks and evaluation (but
  // for the validation where an epoch is one step).
  int64_t memory_high_water = 0;
};
// Trains as `options` say and evaluates after every epoch. `after_step` may end the run by an
// exception. With the loss mse a regression, with cross_entropy a classification; throws for
// others.
ContenderRun run_contender(Network& net, const ComparisonData& data, const TrainOptions& options,
                           TorchGenerator& generator,
                           const std::function<void(const Trainer&)>& after_step = {});

// What predictions without a network reach.
//   mean: of the training targets;  least_squares: the affine map of x with the smallest mse on the
//   training rows; collinear columns share their weight
//   Of a classification with `classes` classes: most_frequent, the class of most training rows, and
//   least_squares on one-hot targets, the largest output being the answer; their loss is NaN.
struct ReferenceLine {
  std::string name;
  Scores scores;
};
std::vector<ReferenceLine> reference_lines(const ComparisonData& data, int64_t classes = 0);

}  // namespace sinew
