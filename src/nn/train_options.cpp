// Around the training loop: names of the choices, the loss as one function of prediction and
// target, the checks before the first step, and prediction in batches of rows.
#include <algorithm>
#include <cmath>

#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/train.h"

namespace sinew {
namespace {

// The choice with this name; the error lists all of them.
template <class T>
T parse(const char* what, const std::string& text,
        std::initializer_list<std::pair<const char*, T>> all) {
  std::string known;
  for (const auto& [word, value] : all) {
    if (text == word) return value;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  throw Error(std::string(what) + ": unknown name '" + text + "' (" + known + ")");
}

}  // namespace

const char* name(LossKind kind) {
  switch (kind) {
    case LossKind::mse: return "mse";
    case LossKind::l1: return "l1";
    case LossKind::smooth_l1: return "smooth_l1";
    case LossKind::huber: return "huber";
    case LossKind::cross_entropy: return "cross_entropy";
  }
  return "?";
}

LossKind parse_loss(const std::string& text) {
  return parse<LossKind>("loss", text,
                         {{"mse", LossKind::mse},
                          {"l1", LossKind::l1},
                          {"smooth_l1", LossKind::smooth_l1},
                          {"huber", LossKind::huber},
                          {"cross_entropy", LossKind::cross_entropy}});
}

const char* name(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::adamw: return "adamw";
    case OptimizerKind::adam: return "adam";
    case OptimizerKind::sgd: return "sgd";
  }
  return "?";
}

OptimizerKind parse_optimizer(const std::string& text) {
  return parse<OptimizerKind>("optimizer", text,
                              {{"adamw", OptimizerKind::adamw},
                               {"adam", OptimizerKind::adam},
                               {"sgd", OptimizerKind::sgd}});
}

const char* name(OnNonfinite choice) {
  switch (choice) {
    case OnNonfinite::stop: return "stop";
    case OnNonfinite::skip: return "skip";
    case OnNonfinite::ignore: return "ignore";
  }
  return "?";
}

OnNonfinite parse_on_nonfinite(const std::string& text) {
  return parse<OnNonfinite>(
      "on_nonfinite", text,
      {{"stop", OnNonfinite::stop}, {"skip", OnNonfinite::skip}, {"ignore", OnNonfinite::ignore}});
}

Tensor Loss::operator()(const Tensor& prediction, const Tensor& target) const {
  switch (kind) {
    case LossKind::mse: return mse(prediction, target);
    case LossKind::l1: return l1(prediction, target);
    case LossKind::smooth_l1: return smooth_l1(prediction, target, beta);
    case LossKind::huber: return huber(prediction, target, delta);
    case LossKind::cross_entropy: return cross_entropy(prediction, target);
  }
  return {};
}

namespace {

int64_t row_count(const Tensor& t) { return t.defined() && t.rank() > 0 ? t.dim(0) : 0; }

// One row through network and loss shows every wrong width and dtype before there is any work.
void check_rows(const std::string& part, const Network& net, const Loss& loss, const Tensor& x,
                const Tensor& y) {
  const int64_t rows = row_count(x);
  if (rows < 1) throw Error("train: no rows in the " + part + " data");
  if (row_count(y) != rows)
    throw Error("train: rows of the " + part + " data differ (x " + std::to_string(rows) + ", y " +
                std::to_string(row_count(y)) + ")");
  try {
    loss(net(x.rows(0, 1)), y.rows(0, 1));
  } catch (const Error& e) {
    throw Error("train: the " + part + " data do not fit: " + e.what());
  }
}

}  // namespace

void Trainer::check(const Network& net, const TrainData& data, const TrainOptions& o) {
  const auto fail = [](const std::string& fact) { throw Error("train: " + fact); };
  if (o.epochs < 1) fail("epochs below 1 (" + std::to_string(o.epochs) + ")");
  if (o.patience < 0) fail("patience below 0 (" + std::to_string(o.patience) + ")");
  if (!(o.clip_norm >= 0) || !std::isfinite(o.clip_norm)) fail("clip_norm is not a number >= 0");
  for (double v : {o.loss.beta, o.loss.delta})
    if (!(v > 0) || !std::isfinite(v))
      fail("beta or delta of the loss is not a number > 0 (" + std::to_string(v) + ")");
  check_rows("training", net, o.loss, data.x, data.y);
  const int64_t steps = Batches(data.x, data.y, o.batch_size).count();
  if (o.epochs > INT32_MAX) fail("epochs above 2^31 (" + std::to_string(o.epochs) + ")");
  o.schedule.at(0, o.epochs * steps);
  if (data.val_x.defined() != data.val_y.defined()) fail("validation needs both x and y");
  if (data.val_x.defined()) check_rows("validation", net, o.loss, data.val_x, data.val_y);
}

Tensor predict(const Network& net, const Tensor& x, int64_t rows_at_once) {
  if (rows_at_once < 1)
    throw Error("predict: rows_at_once below 1 (" + std::to_string(rows_at_once) + ")");
  if (!x.defined() || x.rank() < 1) throw Error("predict: x needs a leading axis of rows");
  if (x.dim(0) <= rows_at_once) return net(x);
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < x.dim(0); first += rows_at_once)
    parts.push_back(net(x.rows(first, std::min(rows_at_once, x.dim(0) - first))));
  return concat(parts, 0);
}

}  // namespace sinew
