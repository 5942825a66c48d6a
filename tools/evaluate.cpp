// sinew evaluate: a model's figures of merit on data with known targets. Formulas: metrics.h.
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"
#include "inference.h"
#include "labels.h"
#include "sinew/metrics.h"
#include "sinew/ops.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Evaluate {
  RunFlags run;
  ModelFlags model;
  DataFlags data;
  int64_t batch_size = 4096;
  bool json = false;
};

Json classification(const Model& model, const Tensor& logits, const Tensor& labels) {
  const ClassMetrics m = class_metrics(logits, labels);
  Json classes = Json::array();
  for (size_t i = 0; i < m.classes.size(); ++i)
    classes.push_back({{"label", model.classes[i]},
                       {"precision", m.classes[i].precision},
                       {"recall", m.classes[i].recall},
                       {"f1", m.classes[i].f1},
                       {"support", m.classes[i].support}});
  return {{"rows", logits.dim(0)},
          {"loss", model.loss(logits, labels).value()},
          {"accuracy", m.accuracy},
          {"classes", classes},
          {"confusion", m.confusion}};
}

// The loss is that of training: of scaled values where the model scales its targets.
Json regression(const Model& model, const Tensor& y, const Tensor& target) {
  const RegressionMetrics m = regression_metrics(y, target);
  const auto scaled = [&](const Tensor& t) {
    return model.y_scaler ? model.y_scaler->apply(t) : t;
  };
  return {{"rows", y.dim(0)}, {"loss", model.loss(scaled(y), scaled(target)).value()},
          {"mse", m.mse},     {"rmse", m.rmse},
          {"mae", m.mae},     {"smape", m.smape},
          {"r2", m.r2}};
}

std::string as_text(const Json& figures) {
  std::string out;
  for (const auto& [key, value] : figures.items()) {
    if (value.is_array()) continue;
    out += (key + "          ").substr(0, 10);
    out += key == "accuracy"           ? format("%.1f %%", 100 * value.get<double>())
           : value.is_number_integer() ? value.dump()
                                       : format("%.6g", value.get<double>());
    out += "\n";
  }
  if (!figures.contains("classes")) return out;
  out += "\n     class  precision     recall         f1    support\n";
  for (const Json& row : figures["classes"]) {
    char text[160];
    std::snprintf(text, sizeof text, "%10lld %10.4f %10.4f %10.4f %10lld\n",
                  row["label"].get<long long>(), row["precision"].get<double>(),
                  row["recall"].get<double>(), row["f1"].get<double>(),
                  row["support"].get<long long>());
    out += text;
  }
  return out;
}

void run(const Evaluate& e) {
  e.run.apply();
  const Model model = read_model(e.model, e.run.network_type());
  const Dataset data = read_dataset(e.data, e.run.data_type(), names_of(model));
  const std::string& file = e.data.target_file();
  require_inputs(model.config, data.x, data.grid, e.data.data);
  const bool classifies = model.loss.kind == LossKind::cross_entropy;
  if (!classifies && data.y.dim(1) != model.config.output_dim)
    throw Error(file + ": has " + std::to_string(data.y.dim(1)) + " targets, the network " +
                std::to_string(model.config.output_dim) + " outputs");
  const Tensor target = classifies ? label_positions(data.y, model.classes, file) : data.y;

  work_starts();
  const Tensor y = predict_rows(model, data.x, e.batch_size);
  const Json figures = classifies ? classification(model, y, target) : regression(model, y, target);
  print(e.run, e.json ? figures.dump(1) + "\n" : as_text(figures));
}

}  // namespace

void add_evaluate(Flags& program) {
  const auto e = std::make_shared<Evaluate>();
  Flags flags = program.add_command(
      "evaluate", "Measure a trained model on data with known targets",
      "sinew evaluate --model run --data x.npy --target t.npy", [e] { run(*e); });
  flags.add("--model", e->model.model, "folder of a trained model").required();
  add_data_flags(flags, e->data).required();
  flags.add("--batch-size", e->batch_size, "rows at once").above_zero();
  flags.add("--json", e->json, "print JSON");
  add_run_flags(flags, e->run);
}

}  // namespace sinew::tools
