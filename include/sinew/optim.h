// Optimizers over a ParameterBlock, learning-rate schedules, clipping. Each step is one kernel over
// the flat block; learning rate and step count live on the device, so that a recorded Step follows
// a rate that is set between its calls. Updates are those of PyTorch's optimizers of the same name.
//
//     AdamW optimizer(block, {.lr = 1e-3, .weight_decay = 0.01});
//     block.backward(tape, loss);
//     clip_gradients(block, 1.0);
//     optimizer.step();
#pragma once
#include <cstdint>

#include "sinew/ops.h"
#include "sinew/parameters.h"

namespace sinew {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Updates block.values from block.gradients; nothing where `go` is given and 0 (ops.h).
  virtual void step(const Tensor& go = {}) = 0;

  // Both read or write device memory, which throws while a Step records.
  double lr() const;
  void set_lr(double lr);  // throws unless 0 <= lr < inf
  int64_t steps() const;   // taken so far

  // Everything a checkpoint needs: handles of the live tensors, `clock` ({lr, steps}, f64) first.
  const NamedTensors& state() const { return state_; }
  // Copies values back; throws unless names, shapes and dtypes are those of state().
  void set_state(const NamedTensors& state);

 protected:
  Optimizer(const char* name, const ParameterBlock& block, double lr);
  Tensor& add_state(const char* name);  // zeros like the block
  const char* name_;
  Tensor values_, gradients_;  // the block's
  NamedTensors state_;
};

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

// adam_update (ops.h) with L2 decay: weight_decay p is added to the gradient. Throws unless
// lr, eps, weight_decay >= 0 and finite, and 0 <= beta1, beta2 < 1.
class Adam : public Optimizer {
 public:
  explicit Adam(const ParameterBlock& block, const AdamOptions& options = {});
  void step(const Tensor& go = {}) override;

 protected:
  Adam(const char* name, const ParameterBlock& block, const AdamOptions& options);
  AdamSettings settings_;
};

// Adam with decoupled decay: p is first multiplied by 1 - lr weight_decay.
class AdamW : public Adam {
 public:
  explicit AdamW(const ParameterBlock& block, const AdamOptions& options = {});
};

struct SgdOptions {
  double lr = 1e-3, momentum = 0.9, weight_decay = 0;
};

// sgd_update (ops.h) with L2 decay. Throws unless all options are >= 0 and finite.
class Sgd : public Optimizer {
 public:
  explicit Sgd(const ParameterBlock& block, const SgdOptions& options = {});
  void step(const Tensor& go = {}) override;

 private:
  SgdSettings settings_;
  Tensor velocity_;  // undefined without momentum
};

// gradients *= min(1, max_norm / (norm + 1e-6)), as PyTorch's clip_grad_norm_, without a host read.
// Returns the norm before clipping. Throws unless max_norm > 0.
Tensor clip_gradients(ParameterBlock& block, double max_norm);

enum class Curve : uint8_t { constant, linear, cosine, step };

// Learning rate of step 0 .. total - 1. The first w = warmup_steps rise as lr (step + 1) / (w + 1);
// then, with u from 0 at step w to 1 at the last step,
//   constant: lr                          linear: lr + (lr_min - lr) u
//   cosine: lr_min + (lr - lr_min) (1 + cos(pi u)) / 2
//   step: lr gamma^floor((step - w) / step_size)
// Later steps use the last rate. Where one step only is left for linear or cosine, it uses lr_min.
struct Schedule {
  Curve curve = Curve::constant;
  double lr = 1e-3;
  double lr_min = 0;
  int64_t warmup_steps = 0;
  int64_t step_size = 1;
  double gamma = 0.1;

  // Throws if a rate or gamma is negative or not finite, a count negative, or step_size or total
  // below 1.
  double at(int64_t step, int64_t total) const;
};

}  // namespace sinew
