// What a Trainer holds, for the two files that implement it: the loop (train.cpp) and its state as
// named tensors (train_state.cpp).
#pragma once
#include <map>

#include "sinew/step.h"
#include "sinew/train.h"

namespace sinew {

struct Trainer::Impl {
  Impl(Network& network, TrainData given, const TrainOptions& o, TorchGenerator& g);

  std::vector<Tensor> forward_backward(const std::vector<Tensor>& batch);
  void run_batch();
  void validate();
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
  StepTime last_step;
  std::map<int64_t, int64_t> calls;  // of the steps, by the rows of the batch
  std::vector<EpochRecord> history;
  bool ended = false, finished = false;
  double best = INFINITY;
  int64_t best_epoch = 0, patience_left;
  Tensor best_values;  // with early stopping
};

inline Tensor copied(const Tensor& t) {
  Tensor out(t.shape(), t.dtype());
  out.assign(t);
  return out;
}

}  // namespace sinew
