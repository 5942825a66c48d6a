// Optimizers: hold the state tensors and call one update kernel (ops.h) per step. The clock, f64
// {learning rate, steps taken}, is read and advanced by the kernel.
#include "sinew/optim.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sinew/error.h"

namespace sinew {
namespace {

std::string text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

void require_non_negative(const std::string& who, const char* what, double value) {
  if (!(value >= 0 && std::isfinite(value)))
    throw Error(who + ": " + what + " is not a finite number >= 0 (" + text(value) + ")");
}

void require_below_one(const std::string& who, const char* what, double value) {
  if (!(value >= 0 && value < 1))
    throw Error(who + ": " + what + " is not in [0, 1) (" + text(value) + ")");
}

AdamSettings checked(const char* who, const AdamOptions& o) {
  require_below_one(who, "beta1", o.beta1);
  require_below_one(who, "beta2", o.beta2);
  require_non_negative(who, "eps", o.eps);
  require_non_negative(who, "weight_decay", o.weight_decay);
  AdamSettings settings;
  settings.beta1 = o.beta1;
  settings.beta2 = o.beta2;
  settings.eps = o.eps;
  return settings;
}

}  // namespace

Optimizer::Optimizer(const char* name, const ParameterBlock& block, double lr)
    : name_(name), values_(block.values.detach()), gradients_(block.gradients) {
  require_non_negative(name, "lr", lr);
  state_.push_back({"clock", Tensor::from(std::vector<double>{lr, 0}, {2})});
}

Tensor& Optimizer::add_state(const char* name) {
  state_.push_back({name, Tensor::zeros(values_.shape(), values_.dtype())});
  return state_.back().tensor;
}

double Optimizer::lr() const { return state_[0].tensor.host<double>()[0]; }

void Optimizer::set_lr(double lr) {
  require_non_negative(name_, "lr", lr);
  state_[0].tensor.rows(0, 1).assign(lr);
}

int64_t Optimizer::steps() const {
  return static_cast<int64_t>(state_[0].tensor.host<double>()[1]);
}

void Optimizer::set_state(const NamedTensors& state) {
  if (state.size() != state_.size())
    throw Error(std::string(name_) + ": state has " + std::to_string(state.size()) +
                " tensors, not " + std::to_string(state_.size()));
  for (size_t i = 0; i < state.size(); ++i) {
    const Tensor &from = state[i].tensor, &to = state_[i].tensor;
    if (state[i].name != state_[i].name || !from.defined() || !(from.shape() == to.shape()) ||
        from.dtype() != to.dtype())
      throw Error(std::string(name_) + ": state '" + state[i].name + "' is not '" + state_[i].name +
                  "', " + sinew::name(to.dtype()) + " " + to.shape().str());
  }
  for (size_t i = 0; i < state.size(); ++i) state_[i].tensor.assign(state[i].tensor);
}

Adam::Adam(const char* name, const ParameterBlock& block, const AdamOptions& options)
    : Optimizer(name, block, options.lr), settings_(checked(name, options)) {
  add_state("first_moment");
  add_state("second_moment");
}

Adam::Adam(const ParameterBlock& block, const AdamOptions& options) : Adam("adam", block, options) {
  settings_.decay = options.weight_decay;
}

AdamW::AdamW(const ParameterBlock& block, const AdamOptions& options)
    : Adam("adamw", block, options) {
  settings_.decoupled_decay = options.weight_decay;
}

void Adam::step(const Tensor& go) {
  settings_.go = go;
  adam_update(values_, gradients_, state_[1].tensor, state_[2].tensor, state_[0].tensor, settings_);
}

Sgd::Sgd(const ParameterBlock& block, const SgdOptions& options)
    : Optimizer("sgd", block, options.lr) {
  require_non_negative("sgd", "momentum", options.momentum);
  require_non_negative("sgd", "weight_decay", options.weight_decay);
  settings_.momentum = options.momentum;
  settings_.decay = options.weight_decay;
  if (options.momentum > 0) velocity_ = add_state("velocity");
}

void Sgd::step(const Tensor& go) {
  settings_.go = go;
  sgd_update(values_, gradients_, velocity_, state_[0].tensor, settings_);
}

Tensor clip_gradients(ParameterBlock& block, double max_norm) {
  if (!(max_norm > 0))
    throw Error("clip_gradients: max_norm is not above 0 (" + text(max_norm) + ")");
  const Tensor norm = gradient_norm(block);
  clip_update(block.gradients, norm, max_norm);
  return norm;
}

double Schedule::at(int64_t step, int64_t total) const {
  require_non_negative("schedule", "lr", lr);
  require_non_negative("schedule", "lr_min", lr_min);
  require_non_negative("schedule", "gamma", gamma);
  if (step < 0 || warmup_steps < 0 || step_size < 1 || total < 1)
    throw Error("schedule: a count is out of range (step " + std::to_string(step) + ", total " +
                std::to_string(total) + ", warmup_steps " + std::to_string(warmup_steps) +
                ", step_size " + std::to_string(step_size) + ")");
  const int64_t now = std::min(step, total - 1), after = now - warmup_steps;
  if (after < 0) return lr * static_cast<double>(now + 1) / (static_cast<double>(warmup_steps) + 1);
  const int64_t last = total - 1 - warmup_steps;
  const double u = last > 0 ? static_cast<double>(after) / static_cast<double>(last) : 1;
  switch (curve) {
    case Curve::constant: return lr;
    case Curve::linear: return lr + (lr_min - lr) * u;
    case Curve::cosine: return lr_min + (lr - lr_min) * (1 + std::cos(M_PI * u)) / 2;
    case Curve::step: return lr * std::pow(gamma, static_cast<double>(after / step_size));
  }
  return lr;
}

}  // namespace sinew
