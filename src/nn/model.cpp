// The folder of a trained model. The part "sinew" of config.json holds what neither the network's
// keys nor a state dict can: {"loss", "loss_beta", "loss_delta", "x_scaler": {"shift", "scale"},
// "y_scaler", "classes", "inputs", "targets", "mixed_index_sets": {part: features}}.
#include "sinew/model.h"

#include <filesystem>

#include "nn/config_value.h"
#include "nn/file.h"
#include "nn/network_config.h"
#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

constexpr const char* op = "model";
using Kind = ConfigValue::Kind;

const ConfigValue* member(const ConfigValue& object, const std::string& key) {
  for (size_t i = 0; i < object.keys.size(); ++i)
    if (object.keys[i] == key && object.items[i].kind != Kind::null) return &object.items[i];
  return nullptr;
}

Tensor read_column_values(const ConfigField& field, int64_t columns) {
  if (!field) throw Error("model: a scaler needs shift and scale");
  const std::vector<double> values = field.numbers();
  if (static_cast<int64_t>(values.size()) != columns)
    throw Error("model: a scaler has " + std::to_string(values.size()) + " columns, the network " +
                std::to_string(columns));
  return Tensor::from(values, {columns});
}

std::optional<Scaler> read_scaler(const ConfigField& field, int64_t columns) {
  if (!field) return std::nullopt;
  const ConfigReader reader(op, field.value(), {"shift", "scale"});
  Scaler scaler{read_column_values(reader.find({"shift"}), columns),
                read_column_values(reader.find({"scale"}), columns)};
  for (const double s : scaler.scale.host<double>())
    if (static_cast<float>(s) == 0) throw Error("model: a scaler divides by 0");
  return scaler;
}

std::vector<std::string> read_names(const ConfigField& field) {
  std::vector<std::string> names;
  if (field)
    for (const ConfigField& item : field.list()) names.push_back(item.text());
  return names;
}

NamedTensors read_index_sets(const ConfigValue& object) {
  if (object.kind != Kind::object) throw Error("model: mixed_index_sets needs a JSON object");
  NamedTensors sets;
  for (size_t i = 0; i < object.keys.size(); ++i) {
    std::vector<int32_t> features;
    for (const ConfigField& f : ConfigField("model: mixed_index_sets", &object.items[i]).list()) {
      const int64_t feature = f.integer();
      if (feature < 0 || feature > INT32_MAX) f.fail("feature numbers");
      features.push_back(static_cast<int32_t>(feature));
    }
    const int64_t size = static_cast<int64_t>(features.size());
    sets.push_back({object.keys[i], Tensor::from(features, {size})});
  }
  return sets;
}

// Everything but the network.
void read_extra(const ConfigValue& object, Model& model, NamedTensors& index_sets) {
  const ConfigReader reader(op, object,
                            {"loss", "loss_beta", "loss_delta", "x_scaler", "y_scaler", "classes",
                             "inputs", "targets", "mixed_index_sets"});
  if (const auto f = reader.find({"loss"})) model.loss.kind = parse_loss(f.text());
  if (const auto f = reader.find({"loss_beta"})) model.loss.beta = f.number();
  if (const auto f = reader.find({"loss_delta"})) model.loss.delta = f.number();
  model.x_scaler = read_scaler(reader.find({"x_scaler"}), model.config.input_dim);
  model.y_scaler = read_scaler(reader.find({"y_scaler"}), model.config.output_dim);
  if (const auto f = reader.find({"classes"}))
    for (const ConfigField& label : f.list()) model.classes.push_back(label.integer());
  model.inputs = read_names(reader.find({"inputs"}));
  model.targets = read_names(reader.find({"targets"}));
  const bool classifies = model.loss.kind == LossKind::cross_entropy;
  const int64_t classes = static_cast<int64_t>(model.classes.size());
  if (classes != (classifies ? model.config.output_dim : 0))
    throw Error("model: " + std::to_string(classes) + " classes for " +
                std::to_string(model.config.output_dim) + " outputs with loss " +
                name(model.loss.kind));
  if (const auto f = reader.find({"mixed_index_sets"})) index_sets = read_index_sets(f.value());
}

std::string write_numbers(const Tensor& values) {  // in the shortest form of their own type
  if (values.dtype() == DType::f64)
    return JsonWriter::list(values.host<double>(), JsonWriter::json);
  return JsonWriter::list(values.host<float>(), JsonWriter::json_f32);
}

std::string write_extra(Model& model) {
  JsonWriter out;
  out.text("loss", name(model.loss.kind));
  if (model.loss.kind == LossKind::smooth_l1) out.number("loss_beta", model.loss.beta);
  if (model.loss.kind == LossKind::huber) out.number("loss_delta", model.loss.delta);
  const auto scaler = [&](const char* key, const std::optional<Scaler>& s) {
    JsonWriter inner;
    if (!s) return;
    inner.raw("shift", write_numbers(s->shift));
    inner.raw("scale", write_numbers(s->scale));
    out.raw(key, inner.str());
  };
  scaler("x_scaler", model.x_scaler);
  scaler("y_scaler", model.y_scaler);
  const auto number = [](int64_t v) { return std::to_string(v); };
  if (!model.classes.empty()) out.raw("classes", JsonWriter::list(model.classes, number));
  if (!model.inputs.empty()) out.raw("inputs", JsonWriter::list(model.inputs, JsonWriter::quoted));
  if (!model.targets.empty())
    out.raw("targets", JsonWriter::list(model.targets, JsonWriter::quoted));
  JsonWriter sets;
  for (const NamedTensor& set : model.net->index_sets())
    sets.raw(set.name, JsonWriter::list(set.tensor.host<int32_t>(), number));
  if (sets.str() != "{}") out.raw("mixed_index_sets", sets.str());
  return out.str();
}

std::string file(const std::string& folder, const char* name) { return folder + "/" + name; }

}  // namespace

Tensor predict(const Model& model, const Tensor& x, int64_t rows_at_once) {
  if (!model.x_scaler && !model.y_scaler) return predict(*model.net, x, rows_at_once);
  Tensor rows = x;
  if (model.x_scaler) {
    if (x.defined() && x.rank() > 2) rows = reshape(x, {x.dim(0), x.numel() / x.dim(0)});
    rows = model.x_scaler->apply(rows);
  }
  const Tensor y = predict(*model.net, rows, rows_at_once);
  return model.y_scaler ? model.y_scaler->invert(y) : y;
}

std::unique_ptr<Network> load_network(const NetworkConfig& config, const NamedTensors& weights,
                                      Strict strict) {
  int64_t held = 0;
  for (const NamedTensor& t : weights)
    if (is_floating(t.tensor.dtype())) held += t.tensor.numel();
  const double least = least_parameters(checked(config));
  if (least > static_cast<double>(held))
    throw Error("load_network: the network has more than " + JsonWriter::json(least) +
                " parameters, the weights only " + std::to_string(held));
  TorchGenerator generator(0);
  auto net = make_network(config, generator);
  net->load_state(weights, strict);
  return net;
}

void save_model(const std::string& folder, Model& model) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(printable(folder) + ": cannot be made (" + error.message() + ")");
  JsonWriter sinew;
  sinew.raw("sinew", write_extra(model));
  std::string text = to_json(model.config);
  text.pop_back();
  text += ",\n " + sinew.str().substr(1) + "\n";
  if (text.size() > size_t{64} << 20)
    throw Error("save_model: config.json would be larger than 64 MiB (" +
                std::to_string(text.size()) + " bytes)");
  write_file(file(folder, "config.json"), text);
  NamedTensors weights = model.net->state();
  for (NamedTensor& w : weights)
    if (w.tensor.dtype() == DType::f64) w.tensor = cast(w.tensor, DType::f32);
  write_safetensors(file(folder, "model.safetensors"), weights);
}

Model load_model(const std::string& folder) {
  std::error_code ignored;
  const std::string path = file(folder, "config.json");
  if (!std::filesystem::exists(path, ignored) &&
      std::filesystem::exists(file(folder, "checkpoint"), ignored))
    throw Error(printable(folder) + ": its training is not finished (sinew train --resume)");
  const std::string text = read_file(path);
  Model model;
  NamedTensors index_sets;
  about_file(path, [&] {
    model.config = parse_network_config(text);
    const ConfigValue config = parse_json(op, text);
    if (const ConfigValue* extra = member(config, "sinew")) read_extra(*extra, model, index_sets);
  });
  const std::string weights = file(folder, "model.safetensors");
  const NamedTensors state = read_safetensors(weights);
  about_file(weights, [&] { model.net = load_network(model.config, state); });
  if (!index_sets.empty()) about_file(path, [&] { model.net->load_index_sets(index_sets); });
  return model;
}

}  // namespace sinew
