// The training loop as a state machine: step() runs one batch, so that a caller can write a
// checkpoint, show progress or stop between any two steps. Gradients and update are two recorded
// Steps; between them the host looks at loss and norm to count, skip or stop.
#include "sinew/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "sinew/error.h"
#include "sinew/step.h"

namespace sinew {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Tensor copied(const Tensor& t) {
  Tensor out(t.shape(), t.dtype());
  out.assign(t);
  return out;
}

std::unique_ptr<Optimizer> make_optimizer(const ParameterBlock& block, const TrainOptions& o) {
  AdamOptions adam = o.adam;
  SgdOptions sgd = o.sgd;
  adam.lr = sgd.lr = o.schedule.lr;
  switch (o.optimizer) {
    case OptimizerKind::adamw: return std::make_unique<AdamW>(block, adam);
    case OptimizerKind::adam: return std::make_unique<Adam>(block, adam);
    case OptimizerKind::sgd: return std::make_unique<Sgd>(block, sgd);
  }
  return nullptr;
}

}  // namespace

struct Trainer::Impl {
  Impl(Network& network, TrainData given, const TrainOptions& o, TorchGenerator& g)
      : net(network),
        data(std::move(given)),
        options(o),
        generator(g),
        block(network.parameters()),
        optimizer(make_optimizer(block, o)),
        batches(data.x, data.y, o.batch_size),
        gradients([this](const std::vector<Tensor>& batch) { return forward_backward(batch); }),
        update([this](const std::vector<Tensor>&) {
          optimizer->step();
          return std::vector<Tensor>();
        }) {}

  std::vector<Tensor> forward_backward(const std::vector<Tensor>& batch) {
    Tape tape;
    block.watch(tape);
    const Tensor loss = options.loss(net(batch[0], Mode::train), batch[1]);
    block.backward(tape, loss);
    const bool clips = options.clip_norm > 0;
    return {loss.detach(), clips ? clip_gradients(block, options.clip_norm) : gradient_norm(block)};
  }

  void run_batch();
  void end_epoch();

  Network& net;
  TrainData data;
  TrainOptions options;
  TorchGenerator& generator;
  ParameterBlock block;
  std::unique_ptr<Optimizer> optimizer;
  Batches batches;
  Step gradients, update;

  int64_t done = 0;     // steps
  EpochRecord current;  // of the running epoch; its train_loss is still a sum over rows
  int64_t finite_norms = 0, loss_rows = 0;  // of the running epoch; rows that its loss counts
  std::vector<double> step_ms;
  std::vector<EpochRecord> history;
  bool ended = false, finished = false;
  double best = INFINITY;
  int64_t best_epoch = 0, patience_left = 0;
  Tensor best_values;  // with early stopping
};

void Trainer::Impl::run_batch() {
  const int64_t in_epoch = done % batches.count();
  if (in_epoch == 0) {
    current = EpochRecord();
    current.epoch = done / batches.count() + 1;
    finite_norms = loss_rows = 0;
    step_ms.clear();
    if (options.shuffle == Shuffle::yes) batches.shuffle(generator);
  }
  const auto start = Clock::now();
  const Batch batch = batches[in_epoch];
  current.lr = options.schedule.at(done, options.epochs * batches.count());
  optimizer->set_lr(current.lr);
  const std::vector<Tensor> out = gradients({batch.x, batch.y});
  const double loss = out[0].value(), norm = out[1].value();
  const bool finite = std::isfinite(loss) && std::isfinite(norm);
  if (!finite && options.on_nonfinite == OnNonfinite::stop)
    throw Error("train: loss or gradient is not finite (epoch " + std::to_string(current.epoch) +
                ", step " + std::to_string(in_epoch + 1) + ")");
  if (finite || options.on_nonfinite == OnNonfinite::ignore) {
    update({});
    current.train_loss += loss * static_cast<double>(batch.x.dim(0));
    loss_rows += batch.x.dim(0);
  }
  current.loss_nonfinite_steps += !std::isfinite(loss);
  current.grad_nonfinite_steps += !std::isfinite(norm);
  if (std::isfinite(norm)) {
    current.grad_norm_mean += norm;
    current.grad_norm_max = std::max(current.grad_norm_max, norm);
    ++finite_norms;
  }
  const double seconds = seconds_since(start);
  step_ms.push_back(seconds * 1e3);
  current.time_s += seconds;
  ++done;
}

void Trainer::Impl::end_epoch() {
  const auto start = Clock::now();
  current.train_loss /= static_cast<double>(loss_rows);  // 0 / 0 if all batches were skipped
  current.samples_per_sec = static_cast<double>(batches.rows()) / current.time_s;
  if (finite_norms > 0) current.grad_norm_mean /= static_cast<double>(finite_norms);
  std::nth_element(step_ms.begin(), step_ms.begin() + static_cast<int64_t>(step_ms.size() / 2),
                   step_ms.end());
  current.step_time_ms_median = step_ms[step_ms.size() / 2];
  if (data.val_x.defined())
    current.val_loss = options.loss(predict(net, data.val_x), data.val_y).value();
  const double metric = current.val_loss.value_or(current.train_loss);
  current.improved = metric + 1e-12 < best;
  if (current.improved) {
    best = metric;
    best_epoch = current.epoch;
    patience_left = options.patience;
    if (options.patience > 0) best_values.assign(block.values);
  } else if (patience_left > 0) {
    --patience_left;
  }
  current.time_s += seconds_since(start);
  history.push_back(current);
  ended = true;
  finished = current.epoch == options.epochs || (options.patience > 0 && patience_left == 0);
  if (finished && options.patience > 0 && best_epoch > 0) block.values.assign(best_values);
}

Trainer::Trainer(Network& net, TrainData data, const TrainOptions& options,
                 TorchGenerator& generator) {
  check(net, data, options);
  impl_ = std::make_unique<Impl>(net, std::move(data), options, generator);
  impl_->patience_left = options.patience;
  if (options.patience > 0) impl_->best_values = copied(impl_->block.values);
}
Trainer::~Trainer() = default;

bool Trainer::step() {
  impl_->ended = false;
  if (impl_->finished) return false;
  impl_->run_batch();
  if (impl_->done % impl_->batches.count() == 0) impl_->end_epoch();
  return true;
}

bool Trainer::epoch_ended() const { return impl_->ended; }
int64_t Trainer::steps_done() const { return impl_->done; }
int64_t Trainer::steps_per_epoch() const { return impl_->batches.count(); }
const std::vector<EpochRecord>& Trainer::history() const { return impl_->history; }
std::optional<int64_t> Trainer::best_epoch() const {
  return impl_->best_epoch > 0 ? std::optional(impl_->best_epoch) : std::nullopt;
}

// Numbers that are not tensors travel as f64, which holds them exactly.
namespace {

std::vector<double> pack(const EpochRecord& r) {
  return {static_cast<double>(r.epoch),
          r.train_loss,
          r.val_loss ? 1.0 : 0.0,
          r.val_loss.value_or(0),
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
constexpr int64_t record_fields = 13;

int64_t count(double v) {
  if (!(v >= 0 && v <= 0x1p53 && v == std::trunc(v)))
    throw Error("train: state has a count out of range (" + std::to_string(v) + ")");
  return static_cast<int64_t>(v);
}

EpochRecord unpack(const double* v) {
  EpochRecord r;
  r.epoch = count(v[0]);
  r.train_loss = v[1];
  if (v[2] != 0) r.val_loss = v[3];
  r.lr = v[4];
  r.time_s = v[5];
  r.step_time_ms_median = v[6];
  r.samples_per_sec = v[7];
  r.grad_norm_mean = v[8];
  r.grad_norm_max = v[9];
  r.loss_nonfinite_steps = count(v[10]);
  r.grad_nonfinite_steps = count(v[11]);
  r.improved = v[12] != 0;
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
  const Impl& t = *impl_;
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
  t.finished = counters[3] != 0;
  t.best = counters[4];
  t.best_epoch = best_epoch;
  t.patience_left = patience_left;
  t.finite_norms = finite_norms;
  t.loss_rows = loss_rows;
  t.step_ms = std::move(step_ms);
  t.current = current;
  t.history = std::move(history);
}

}  // namespace sinew
