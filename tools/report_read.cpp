// JSON into structs. A value of a wrong type is an error that names its place, manifest.shape for
// instance; keys that nobody asks for do not matter.
#include "report_text.h"
#include "report_value.h"

namespace sinew::tools {
namespace {

constexpr size_t most_models = 16, most_epochs = 1000000;

Figures figures(const Value& of) {
  Figures out;
  out.accuracy = of["accuracy"].number();
  out.macro_f1 = of["macro_f1"].number();
  out.loss = (of["mse"].absent() ? of["cross_entropy"] : of["mse"]).number();
  out.mae = of["mae"].number();
  out.r2 = of["r2"].number();
  return out;
}

// Of a network: the answers of one whose outputs are not finite are no answers.
Figures model_figures(const Value& of) {
  const Figures out = figures(of);
  return std::isfinite(out.loss) ? out : Figures{};
}

EpochFigures epoch_figures(const Value& of) {
  EpochFigures out;
  out.epoch = of["epoch"].number();
  const auto loss = [&](const std::string& part) {
    const Value mse = of[part + "_mse"];
    return (mse.absent() ? of[part + "_loss"] : mse).number();
  };
  out.train.loss = loss("train");
  out.validation.loss = loss("val");
  out.test.loss = loss("test");
  out.test.accuracy = of["test_accuracy"].number();
  out.validation.accuracy = of["val_accuracy"].number();
  return out;
}

ModelResult model_result(const Value& of) {
  ModelResult out;
  out.name = of["name"].name();
  out.parameters = of["params_empirical"].number();
  out.mismatch_ratio = of["param_mismatch_ratio"].number();
  const Value train = of["train"];
  const Value median = train["step_time_ms_median"];
  out.step_ms = (median.absent() ? train["step_time_ms_mean"] : median).number();
  out.step_ms_p25 = train["step_time_ms_p25"].number();
  out.step_ms_p75 = train["step_time_ms_p75"].number();
  out.train_s = train["train_time_s"].number();
  out.samples_per_s = train["samples_per_sec"].number();
  out.memory_bytes = train["memory_high_water_bytes"].number();
  out.nonfinite_steps =
      train["loss_nonfinite_steps"].number() + train["grad_nonfinite_steps"].number();
  out.best_epoch = of["best"]["epoch"].number();
  out.best_by = of["best"]["by"].text();
  out.best_test = model_figures(of["best"]["metrics_test"]);
  out.train = model_figures(of["metrics_train"]);
  out.validation = model_figures(of["metrics_val"]);
  out.test = model_figures(of["metrics_test"]);
  for (const Value& point : of["curve"].list(most_epochs))
    out.curve.push_back(epoch_figures(point));
  return out;
}

Facts facts(const Value& of, const std::vector<std::pair<const char*, const char*>>& wanted) {
  Facts out;
  for (const auto& [key, name] : wanted)
    if (const std::string value = of[key].shown(); !value.empty()) out.emplace_back(name, value);
  return out;
}

std::string training_rows(const Value& of) {
  if (of["train_size"].absent()) return "";
  const int64_t rows = of["train_size"].whole(), held_out = of["val_size"].whole();
  return plural(rows, "row") +
         (held_out > 0 ? ", of these " + std::to_string(held_out) + " for validation" : "");
}

// The loss of training is that of the scaled target: brings it to the units of the data.
void unscale_training(const Value& meta, Cell& cell) {
  if (meta["y_scaler"].absent()) return;
  const Value std = meta["y_scaler_std"];
  cell.has_training_curve = !std.absent() && !std.is_list();
  const double factor = cell.has_training_curve ? std.number() * std.number() : NAN;
  for (ModelResult& model : cell.models)
    for (EpochFigures& epoch : model.curve) epoch.train.loss *= factor;
}

void read_manifest(const Value& of, Cell& cell) {
  const auto shape = of["shape"].list(2);
  if (shape.size() != 2) of["shape"].fail("is no list of two sizes");
  cell.rows = shape[0].size();
  cell.columns = shape[1].size();
  cell.task = of["task"].name();
  cell.depth = of["depth_sparse"].size();
  cell.k = of["k"].size();
  cell.activation = of["sparse_activation"].name();
  cell.pattern = of["pattern"].text();
  cell.seed = of["seed"].whole();
  cell.classes = of["classes"].whole();
  cell.dense_depth = of["dense_depth"].whole();
  cell.match_tolerance = of["match_tolerance"].number();
  cell.training = facts(of, {{"data", "data"}, {"target", "target"}});
  if (const std::string rows = training_rows(of); !rows.empty())
    cell.training.emplace_back("training rows", rows);
  for (const auto& fact : facts(of, {{"test_size", "test rows"},
                                     {"epochs", "epochs"},
                                     {"batch_size", "batch size"},
                                     {"lr", "learning rate"},
                                     {"weight_decay", "weight decay"},
                                     {"scale_x", "scaled inputs"},
                                     {"scale_y", "scaled targets"},
                                     {"fresh_seed_per_model", "fresh seed per model"},
                                     {"pattern", "pattern"},
                                     {"radius", "radius"},
                                     {"wrap_mode", "wrap mode"}}))
    cell.training.push_back(fact);
  if (const Value config = of["activation_config"]; !config.absent())
    cell.training.emplace_back("activation settings", printable(config.dump(), 400));
  const Value network = of["network"];
  if (network.absent()) return;
  if (network["shape"].absent()) network.fail("has no shape");
  cell.network = about("manifest.network", [&] { return parse_network_config(network.dump()); });
}

void read_environment(const Value& of, Cell& cell) {
  cell.machine = facts(of, {{"timestamp", "when"},
                            {"hostname", "host"},
                            {"processor", "processor"},
                            {"device", "device"},
                            {"precision", "precision"},
                            {"threads", "threads"},
                            {"isa", "instruction set"},
                            {"graph", "recorded steps"},
                            {"fusion", "fused blocks"},
                            {"version", "sinew"},
                            {"commit", "commit"},
                            {"compiler", "compiler"},
                            {"cuda_build", "CUDA build"}});
}

}  // namespace

void read_cell(const nlohmann::ordered_json& file, Cell& cell) {
  const Value all(&file, "");
  if (all["manifest"].absent() || all["models"].absent())
    throw Error("no results of a comparison (manifest and models)");
  read_manifest(all["manifest"], cell);
  read_environment(all["environment"], cell);
  for (const Value& line : all["reference_lines"].list(most_models))
    cell.lines.push_back({line["name"].name(), figures(line["metrics_test"])});
  for (const Value& model : all["models"].list(most_models)) {
    cell.models.push_back(model_result(model));
    const auto& name = cell.models.back().name;
    for (size_t i = 0; i + 1 < cell.models.size(); ++i)
      if (cell.models[i].name == name) model["name"].fail("occurs twice");
  }
  if (cell.models.empty()) all["models"].fail("is empty");
  if (cell.classes == 0) unscale_training(all["manifest"]["dataset_meta"], cell);
}

}  // namespace sinew::tools
