// A training as named tensors, from which another Trainer goes on to the same bits, and its history
// as JSON. Numbers that are not tensors travel as f64, which holds them exactly.
#include <algorithm>
#include <cmath>

#include "nn/config_value.h"
#include "nn/trainer.h"
#include "sinew/error.h"

namespace sinew {
namespace {

// What validation measured: nothing, the figures of a regression, or of a classifier.
constexpr double nothing = 0, regression = 1, classes = 2;

std::vector<double> pack(const EpochRecord& r) {
  const RegressionMetrics m = r.val_metrics.value_or(RegressionMetrics{});
  return {static_cast<double>(r.epoch),
          r.train_loss,
          r.val_metrics    ? regression
          : r.val_accuracy ? classes
                           : nothing,
          r.val_loss.value_or(0),
          r.val_accuracy.value_or(0),
          m.mse,
          m.rmse,
          m.mae,
          m.smape,
          m.r2,
          r.lr,
          r.time_s,
          r.step_time_ms_median,
          r.samples_per_sec,
          r.grad_norm_mean,
          r.grad_norm_max,
          static_cast<double>(r.loss_nonfinite_steps),
          static_cast<double>(r.grad_nonfinite_steps),
          r.improved ? 1.0 : 0.0};
}
constexpr int64_t record_fields = 19;

int64_t count(double v) {
  if (!(v >= 0 && v <= 0x1p53 && v == std::trunc(v)))
    throw Error("train: state has a count out of range (" + std::to_string(v) + ")");
  return static_cast<int64_t>(v);
}

EpochRecord unpack(const double* v) {
  EpochRecord r;
  r.epoch = count(v[0]);
  r.train_loss = v[1];
  if (v[2] != nothing) r.val_loss = v[3];
  if (v[2] == classes) r.val_accuracy = v[4];
  if (v[2] == regression) r.val_metrics = {v[5], v[6], v[7], v[8], v[9]};
  r.lr = v[10];
  r.time_s = v[11];
  r.step_time_ms_median = v[12];
  r.samples_per_sec = v[13];
  r.grad_norm_mean = v[14];
  r.grad_norm_max = v[15];
  r.loss_nonfinite_steps = count(v[16]);
  r.grad_nonfinite_steps = count(v[17]);
  r.improved = v[18] != 0;
  return r;
}

Tensor words(const std::vector<uint32_t>& v) {
  return Tensor::from(std::vector<int32_t>(v.begin(), v.end()), {static_cast<int64_t>(v.size())});
}

Tensor numbers(const std::vector<double>& v) {
  return Tensor::from(v, {static_cast<int64_t>(v.size())});
}

const Tensor& entry(const NamedTensors& state, const std::string& name, DType dtype,
                    const Shape& shape) {
  for (const NamedTensor& t : state) {
    if (t.name != name || !t.tensor.defined() || t.tensor.dtype() != dtype) continue;
    if (t.tensor.shape() == shape) return t.tensor;
    throw Error("train: state has '" + name + "' " + t.tensor.shape().str() + ", not " +
                shape.str());
  }
  throw Error("train: state has no " + std::string(sinew::name(dtype)) + " '" + name + "'");
}

const Tensor& entry(const NamedTensors& state, const std::string& name, const Tensor& like) {
  return entry(state, name, like.dtype(), like.shape());
}

std::vector<double> numbers(const NamedTensors& state, const std::string& name, int64_t size) {
  return entry(state, name, DType::f64, {size}).host<double>();
}

std::vector<uint32_t> words(const NamedTensors& state, const std::string& name, int64_t size) {
  const auto v = entry(state, name, DType::i32, {size}).host<int32_t>();
  return {v.begin(), v.end()};
}

// A copy of the order of rows: each of them once.
Tensor order_of(const NamedTensors& state, int64_t rows) {
  const Tensor& order = entry(state, "order", DType::i32, {rows});
  auto sorted = order.host<int32_t>();
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] != static_cast<int32_t>(i))
      throw Error("train: state has an 'order' that is not one of " + std::to_string(rows) +
                  " rows");
  return copied(order);
}

}  // namespace

NamedTensors Trainer::state() const {
  Impl& t = *impl_;
  t.wait();
  if (t.done % t.batches.count() != 0) t.collect();
  NamedTensors out{{"values", copied(t.block.values)}};
  for (const NamedTensor& s : t.optimizer->state())
    out.push_back({"optimizer." + s.name, copied(s.tensor)});
  if (t.options.patience > 0) out.push_back({"best_values", copied(t.best_values)});
  out.push_back({"generator", words(t.generator.state())});
  out.push_back({"masks", words(mask_state())});
  if (t.batches.order().defined()) out.push_back({"order", copied(t.batches.order())});
  out.push_back({"counters",
                 numbers({static_cast<double>(t.done), static_cast<double>(t.batches.rows()),
                          static_cast<double>(t.options.batch_size), t.finished ? 1.0 : 0.0, t.best,
                          static_cast<double>(t.best_epoch), static_cast<double>(t.patience_left),
                          static_cast<double>(t.finite_norms), static_cast<double>(t.loss_rows)})});
  out.push_back({"step_ms", numbers(t.step_ms)});
  out.push_back({"current", numbers(pack(t.current))});
  std::vector<double> records;
  for (const EpochRecord& r : t.history)
    for (double v : pack(r)) records.push_back(v);
  out.push_back({"history", numbers(records)});
  return out;
}

// First everything is fetched and checked, then assigned.
void Trainer::set_state(const NamedTensors& state) {
  Impl& t = *impl_;
  const auto counters = numbers(state, "counters", 9);
  if (counters[1] != static_cast<double>(t.batches.rows()) ||
      counters[2] != static_cast<double>(t.options.batch_size))
    throw Error("train: state is of a training with other rows or batches");
  const int64_t done = count(counters[0]), per_epoch = t.batches.count(),
                best_epoch = count(counters[5]), patience_left = count(counters[6]),
                finite_norms = count(counters[7]), loss_rows = count(counters[8]);
  if (done > t.options.epochs * per_epoch)
    throw Error("train: state is of a longer training (" + std::to_string(done) + " steps)");
  auto step_ms = numbers(state, "step_ms", done > 0 ? (done - 1) % per_epoch + 1 : 0);
  const EpochRecord current = unpack(numbers(state, "current", record_fields).data());
  const auto records = numbers(state, "history", done / per_epoch * record_fields);
  std::vector<EpochRecord> history;
  for (size_t i = 0; i < records.size(); i += record_fields)
    history.push_back(unpack(records.data() + i));
  const auto require_epoch = [](int64_t epoch, int64_t wanted) {
    if (epoch != wanted)
      throw Error("train: state has epoch " + std::to_string(epoch) + " in the place of " +
                  std::to_string(wanted));
  };
  require_epoch(current.epoch, done > 0 ? (done - 1) / per_epoch + 1 : 0);
  for (size_t i = 0; i < history.size(); ++i)
    require_epoch(history[i].epoch, static_cast<int64_t>(i) + 1);
  if (best_epoch > done / per_epoch)
    throw Error("train: state has a best epoch to come (" + std::to_string(best_epoch) + ")");
  TorchGenerator generator;
  generator.set_state(words(state, "generator", 625));
  const auto masks = words(state, "masks", 4);
  const bool shuffled = t.options.shuffle == Shuffle::yes && done > 0;
  const Tensor order = shuffled ? order_of(state, t.batches.rows()) : Tensor();
  NamedTensors optimizer;
  for (const NamedTensor& s : t.optimizer->state())
    optimizer.push_back({s.name, entry(state, "optimizer." + s.name, s.tensor)});
  const Tensor& values = entry(state, "values", t.block.values);
  const bool stops_early = t.options.patience > 0;
  const Tensor best_values = stops_early ? entry(state, "best_values", t.best_values) : Tensor();

  t.block.values.assign(values);
  if (stops_early) t.best_values.assign(best_values);
  t.optimizer->set_state(optimizer);
  t.generator = generator;
  set_mask_state(masks);
  if (shuffled) t.batches.set_order(order);
  t.done = done;
  t.ended = false;
  t.finished = done == t.options.epochs * per_epoch || (stops_early && counters[3] != 0);
  t.best = counters[4];
  t.best_epoch = best_epoch;
  t.patience_left = patience_left;
  t.finite_norms = finite_norms;
  t.loss_rows = loss_rows;
  t.step_ms = std::move(step_ms);
  t.current = current;
  t.waiting = 0;
  t.tally.assign(std::vector<double>{
      1, static_cast<double>(done % per_epoch), current.train_loss, static_cast<double>(loss_rows),
      static_cast<double>(current.loss_nonfinite_steps),
      static_cast<double>(current.grad_nonfinite_steps), current.grad_norm_mean,
      current.grad_norm_max, static_cast<double>(finite_norms)});
  t.history = std::move(history);
}

std::string to_json(const std::vector<EpochRecord>& history) {
  std::string lines;
  for (const EpochRecord& r : history) {
    JsonWriter out;
    const auto optional = [&](const char* key, std::optional<double> value) {
      out.raw(key, value ? JsonWriter::json(*value) : "null");
    };
    out.integer("epoch", r.epoch);
    out.number("train_loss", r.train_loss);
    optional("val_loss", r.val_loss);
    if (r.val_metrics) {
      out.number("val_mse", r.val_metrics->mse);
      out.number("val_rmse", r.val_metrics->rmse);
      out.number("val_mae", r.val_metrics->mae);
      out.number("val_smape", r.val_metrics->smape);
      out.number("val_r2", r.val_metrics->r2);
    }
    if (r.val_accuracy) out.number("val_accuracy", *r.val_accuracy);
    out.number("lr", r.lr);
    out.number("time_s", r.time_s);
    out.number("step_time_ms_median", r.step_time_ms_median);
    out.number("samples_per_sec", r.samples_per_sec);
    out.number("grad_norm_mean", r.grad_norm_mean);
    out.number("grad_norm_max", r.grad_norm_max);
    out.integer("loss_nonfinite_steps", r.loss_nonfinite_steps);
    out.integer("grad_nonfinite_steps", r.grad_nonfinite_steps);
    out.flag("improved", r.improved);
    lines += (lines.empty() ? "\n  " : ",\n  ") + out.str();
  }
  return "[" + lines + (lines.empty() ? "]\n" : "\n]\n");
}

}  // namespace sinew
