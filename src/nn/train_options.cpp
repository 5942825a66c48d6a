// Names of the training choices and the loss as one function of prediction and target.
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

}  // namespace sinew
