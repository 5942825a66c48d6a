// sinew predict: a model's outputs for a file of inputs.
#include <algorithm>
#include <charconv>
#include <memory>
#include <numeric>
#include <string>

#include "command.h"
#include "inference.h"
#include "sinew/io.h"
#include "sinew/ops.h"

namespace sinew::tools {
namespace {

struct Predict {
  RunFlags run;
  ModelFlags model;
  DataFlags data;  // of --input
  std::string output, kind = "raw";
  int64_t batch_size = 4096;
};

// The model's label of each output; their positions where it has none.
std::vector<int32_t> labels_of(const Model& model) {
  std::vector<int32_t> out;
  for (const int64_t label : model.classes) {
    if (label != static_cast<int32_t>(label))
      throw Error("a class of the model is no 32-bit number (" + std::to_string(label) + ")");
    out.push_back(static_cast<int32_t>(label));
  }
  if (!out.empty()) return out;
  out.resize(static_cast<size_t>(model.config.output_dim));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

// y (N, outputs) as --output-kind wants it.
Tensor answer(const std::string& kind, const Tensor& y, const std::vector<int32_t>& labels) {
  if (kind == "proba") return softmax(y);
  if (kind == "raw") return y;
  const auto count = static_cast<int64_t>(labels.size());
  return gather(Tensor::from(labels, {count}), argmax(y));
}

// Names that are all numbers would read as a row.
bool reads_as_header(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    double value;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data(), end, value);
    return parsed.ec == std::errc::invalid_argument || parsed.ptr != end;
  });
}

void write(const Predict& p, const Model& model, const Tensor& y) {
  const bool csv = p.output.size() > 4 && p.output.compare(p.output.size() - 4, 4, ".csv") == 0;
  if (!csv) return write_npy(p.output, y);
  Table table{{}, y.rank() == 1 ? reshape(y, {y.dim(0), 1}) : y};
  const auto columns = static_cast<size_t>(table.values.dim(1));
  if (p.kind != "class" && model.classes.size() == columns)
    for (const int64_t label : model.classes)
      table.columns.push_back("class_" + std::to_string(label));
  else if (model.targets.size() == columns && reads_as_header(model.targets))
    table.columns = model.targets;
  write_csv(p.output, table);
}

void run(const Predict& p) {
  p.run.apply();
  if (p.model.model.empty() && p.model.config.empty())
    throw Error("needs --model, or --config and --weights");
  const Model model = read_model(p.model, p.run.network_type());
  const bool classifies = p.model.model.empty() || model.loss.kind == LossKind::cross_entropy;
  if (p.kind != "raw" && !classifies)
    throw Error("--output-kind " + p.kind + ": the model is no classifier (loss " +
                name(model.loss.kind) + ")");
  const std::vector<int32_t> labels = p.kind == "class" ? labels_of(model) : std::vector<int32_t>();
  const Inputs inputs = read_inputs(p.data.data, p.data, p.run.data_type(), names_of(model));
  require_inputs(model.config, inputs.x, inputs.grid, p.data.data);
  require_writable(p.output);

  work_starts();
  Tensor y = answer(p.kind, predict_rows(model, inputs.x, p.batch_size), labels);
  if (y.dtype() == DType::f64) y = cast(y, DType::f32);
  write(p, model, y);
}

}  // namespace

void add_predict(Flags& program) {
  const auto p = std::make_shared<Predict>();
  Flags flags = program.add_command("predict", "Apply a trained network to a file of inputs",
                                    "sinew predict --model run --input x.npy --output y.npy",
                                    [p] { run(*p); });
  Flag model = flags.add("--model", p->model.model, "folder of a trained model");
  Flag config = flags.add("--config", p->model.config, "JSON of a network").excludes(model);
  Flag weights = flags.add("--weights", p->model.weights, "its state as safetensors")
                     .needs(config)
                     .excludes(model);
  config.needs(weights);
  flags.add_switch("strict", p->model.strict, "--weights may hold no other tensors").needs(weights);
  flags.add("--input", p->data.data, "inputs (N, n) or (N, H, W): NPY, IDX or CSV, or their .gz")
      .required();
  flags.add("--output", p->output, "NPY, or CSV if the name ends in .csv").required();
  flags.add("--batch-size", p->batch_size, "rows at once").above_zero();
  flags
      .add("--output-kind", p->kind,
           "raw (outputs in the target's units), class (labels) or proba (softmax)")
      .one_of({"raw", "class", "proba"});
  add_value_flags(flags, p->data);
  add_run_flags(flags, p->run);
}

}  // namespace sinew::tools
