// From a comparison's settings and figures to JSON. NaN and infinity become null.
#include "comparison_record.h"

#include <algorithm>
#include <cmath>

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

Json number(double v) { return std::isfinite(v) ? Json(v) : Json(); }

template <class T, class F>
Json if_any(const std::optional<T>& value, const F& json) {
  return value ? json(*value) : Json();
}

// Has class c a row or a prediction? (Above 4096 classes there is no confusion to ask.)
bool occurs(const ClassMetrics& m, size_t c) {
  const auto predicted = [c](const std::vector<int64_t>& row) { return row[c] > 0; };
  return m.classes[c].support > 0 || std::any_of(m.confusion.begin(), m.confusion.end(), predicted);
}

Json score_json(const Score& s) {
  if (s.regression) {
    const RegressionMetrics& m = *s.regression;
    return {{"mse", number(m.mse)},
            {"rmse", number(m.rmse)},
            {"mae", number(m.mae)},
            {"smape", number(m.smape)},
            {"r2", number(m.r2)}};
  }
  if (!s.classes) return nullptr;
  double f1 = 0, classes = 0;
  for (size_t c = 0; c < s.classes->classes.size(); ++c) {
    if (!occurs(*s.classes, c)) continue;
    f1 += s.classes->classes[c].f1;
    ++classes;
  }
  return {{"cross_entropy", number(s.loss)},
          {"accuracy", s.classes->accuracy},
          {"macro_f1", number(f1 / classes)}};
}

Json point_json(const CurvePoint& p) {
  const bool classifies = p.test_accuracy.has_value();
  const std::string unit = classifies ? "loss" : "mse";
  Json out = {{"epoch", p.epoch},
              {"train_" + unit, number(p.train_loss)},
              {"test_" + unit, number(p.test_loss)}};
  if (p.val_loss) out["val_" + unit] = number(*p.val_loss);
  if (p.test_accuracy) out["test_accuracy"] = *p.test_accuracy;
  if (p.val_accuracy) out["val_accuracy"] = *p.val_accuracy;
  return out;
}

Json mean_of(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

Json quantile(const std::vector<double>& sorted, double share) {  // the nearest one
  if (sorted.empty()) return nullptr;
  return sorted[static_cast<size_t>(std::lround(share * static_cast<double>(sorted.size() - 1)))];
}

// The steps that the reference's flags choose for the mean; of the others only warm ones.
Json times_json(const ContenderRun& run, const ComparisonSettings& s) {
  const auto epochs = static_cast<int64_t>(run.curve.size());
  const int64_t each = epochs > 0 ? static_cast<int64_t>(run.steps.size()) / epochs : 1;
  double data = 0, capture = 0, step = 0;
  std::vector<double> warm, chosen;
  for (size_t i = 0; i < run.steps.size(); ++i) {
    const StepTime& t = run.steps[i];
    const auto at = static_cast<int64_t>(i);
    data += t.data_s;
    (t.warm ? step : capture) += t.compute_s;
    if (!t.warm) continue;
    warm.push_back(1e3 * t.compute_s);
    if (at / each < s.timing_epochs && at % each >= s.timing_warmup_steps)
      chosen.push_back(warm.back());
  }
  std::sort(warm.begin(), warm.end());
  return {{"step_time_ms_mean", mean_of(chosen)},
          {"step_time_ms_median", quantile(warm, 0.5)},
          {"step_time_ms_p25", quantile(warm, 0.25)},
          {"step_time_ms_p75", quantile(warm, 0.75)},
          {"step_time_ms_min", quantile(warm, 0)},
          {"step_time_ms_max", quantile(warm, 1)},
          {"timed_steps", warm.size()},
          {"step_time_s", step},
          {"capture_time_s", capture},
          {"data_time_s", data}};
}

Json train_json(const ContenderRun& run, const ComparisonSettings& s, int64_t rows) {
  const auto epochs = static_cast<double>(run.curve.size());
  Json out = {{"train_time_s", run.total_s},
              {"compile_time_s", nullptr},
              {"samples_per_sec", number(epochs * static_cast<double>(rows) / run.total_s)},
              {"epoch_time_s_mean", number(run.total_s / epochs)}};
  out.update(times_json(run, s));
  out.update({{"evaluation_time_s", run.evaluation_s},
              {"grad_norm_max", number(run.grad_norm_max)},
              {"loss_nonfinite_steps", run.loss_nonfinite_steps},
              {"grad_nonfinite_steps", run.grad_nonfinite_steps},
              {"memory_high_water_bytes", run.memory_high_water}});
  return out;
}

// The figure that a score is known by: mse of a regression, accuracy of a classification.
Json headline(const Score& s) {
  if (s.classes) return s.classes->accuracy;
  return number(s.loss);
}

}  // namespace

ComparisonSettings completed(ComparisonSettings s) {
  if (s.network.connectivity.shape.empty()) s.network.connectivity.shape = {4, 4};
  if (!s.network.connectivity.seed) s.network.connectivity.seed = s.seed;
  s.network = checked(s.network);
  s.task.features = s.network.input_dim;
  s.task.seed = s.data.seed = s.seed;
  return s;
}

Json settings_record(const ComparisonSettings& given, const RunFlags& run,
                     const std::optional<FileTask>& files) {
  const ComparisonSettings s = completed(given);
  const Json network = Json::parse(to_json(s.network));
  const Json config = network.value("activation_config", Json::object());
  Json baselines = Json::array();
  for (const Contender& c : contenders(s.network, s.contenders))
    if (c.match) baselines.push_back(c.name);
  const auto& [kind, features, train_rows, test_rows, seed] = s.task;
  Json out = {{"shape", s.network.connectivity.shape},
              {"features", s.network.input_dim},
              {"depth_sparse", s.network.depth},
              {"k", s.network.connectivity.k},
              {"dense_depth", s.contenders.dense_depth.value_or(s.network.depth)},
              {"dense_max_width", s.contenders.max_width},
              {"pattern", network["pattern"]},
              {"radius", network.value("radius", Json())},
              {"wrap_mode", network["wrap_mode"]},
              {"sparse_activation", network["activation_type"]},
              {"activation_config", config.empty() ? Json() : config},
              {"network", network},
              {"baselines", baselines},
              {"task", files ? "file" : name(kind)}};
  if (files)
    out.update({{"data", files->data},
                {"target", files->target},
                {"target_columns", files->columns},
                {"digest", files->digest},
                {"classes", files->classes}});
  out.update({{"train_size", files ? files->task.x.dim(0) : train_rows},
              {"test_size", files ? files->task.test_x.dim(0) : test_rows},
              {"val_fraction", s.data.validation_fraction},
              {"scale_x", s.data.scale_x},
              {"scale_y", s.data.scale_y},
              {"loss", name(s.train.loss.kind)},
              {"epochs", s.train.epochs},
              {"batch_size", s.train.batch_size},
              {"lr", s.train.schedule.lr},
              {"weight_decay", s.train.adam.weight_decay},
              {"seed", s.seed},
              {"fresh_seed_per_model", s.seeding == Seeding::fresh_per_model},
              {"device", name(device())},
              {"isa", name(isa())},
              {"precision", run.precision},
              {"dtype", run.precision == "f64" ? "float64" : "float32"},
              {"amp", run.precision == "bf16"},
              {"amp_dtype", "bfloat16"},
              {"amp_dtype_effective", "bfloat16"},
              {"tf32", run.precision == "tf32"},
              {"fusion", fusion() == Fusion::on}});
  return out;
}

Json manifest(const ComparisonSettings& s, const RunFlags& run,
              const std::optional<FileTask>& files, const std::vector<Contender>& contenders,
              const ComparisonData& data, const Task& task) {
  Json out = settings_record(s, run, files);
  const int64_t val_rows = data.data.val_x.defined() ? data.data.val_x.dim(0) : 0;
  std::string task_name = out["task"];
  if (task.teacher_hidden) task_name.insert(task_name.find('_'), "_mlp");
  Json meta = {{"task", task_name},
               {"features", out["features"]},
               {"train_size", out["train_size"]},
               {"test_size", out["test_size"]},
               {"val_size", val_rows},
               {"scale_x", s.data.scale_x},
               {"scale_y", s.data.scale_y},
               {"x_scaler", data.x_scaler ? Json("standard") : Json()},
               {"y_scaler", data.y_scaler ? Json("standard") : Json()}};
  if (task.teacher_hidden)
    meta.update({{"teacher_hidden1", (*task.teacher_hidden)[0]},
                 {"teacher_hidden2", (*task.teacher_hidden)[1]}});
  if (data.y_scaler) {
    const auto values = [](const Tensor& t) {
      return t.numel() == 1 ? Json(t.value()) : Json(t.values());
    };
    meta.update({{"y_scaler_mean", values(data.y_scaler->shift)},
                 {"y_scaler_std", values(data.y_scaler->scale)}});
  }
  for (const Contender& c : contenders)
    if (c.match) out[c.name + "_width"] = c.match->width;
  out.update({{"dataset_meta", meta},
              {"val_size", val_rows},
              {"match_tolerance", s.match_tolerance},
              {"timing_warmup_steps", s.timing_warmup_steps},
              {"timing_epochs", s.timing_epochs},
              {"graph", s.train.recording == Recording::on},
              {"compile", false},
              {"compile_backend", nullptr},
              {"compile_mode", nullptr}});
  return out;
}

Json model_json(const Contender& c, int64_t trainable, const ContenderRun& run,
                const ComparisonSettings& s, int64_t rows) {
  Json out = {{"name", c.name},
              {"params_empirical", c.parameters.empirical},
              {"params_trainable", trainable},
              {"params_analytic", c.parameters.analytic}};
  if (c.match)
    out.update({{"param_mismatch", c.match->mismatch},
                {"param_mismatch_ratio", c.match->ratio},
                {"width", c.match->width}});
  Json curve = Json::array();
  for (const CurvePoint& point : run.curve) curve.push_back(point_json(point));
  const Scores& scores = run.scores;
  const std::string figure = scores.test.classes ? "accuracy" : "mse";
  out.update({{"train", train_json(run, s, rows)},
              {"curve", curve},
              {"best",
               {{"epoch", run.best_epoch > 0 ? Json(run.best_epoch) : Json()},
                {"by", scores.validation ? "val" : "train"},
                {"metrics_test", score_json(run.best_test)},
                {"metrics_val", if_any(run.best_validation, score_json)}}},
              {"metrics_train", score_json(scores.train)},
              {"metrics_val", if_any(scores.validation, score_json)},
              {"metrics_test", score_json(scores.test)},
              {figure + "_train", headline(scores.train)},
              {figure + "_val", if_any(scores.validation, headline)},
              {figure + "_test", headline(scores.test)}});
  return out;
}

Json line_json(const ReferenceLine& line) {
  return {{"name", line.name},
          {"metrics_train", score_json(line.scores.train)},
          {"metrics_val", if_any(line.scores.validation, score_json)},
          {"metrics_test", score_json(line.scores.test)}};
}

}  // namespace sinew::tools
