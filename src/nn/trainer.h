// What a Trainer holds, for the two files that implement it: the loop (train.cpp) and its state as
// named tensors (train_state.cpp).
#pragma once
#include <map>

#include "sinew/step.h"
#include "sinew/train.h"

namespace sinew {

struct Trainer::Impl {
  Impl(Network& network, TrainData given, const TrainOptions& o, TorchGenerator& g);

  std::vector<Tensor> one_step(const std::vector<Tensor>& selection);
  void run_batch();
  void begin_epoch();
  void wait();     // for the steps so far; throws where one of them ends the training
  void collect();  // the tally, into `current`
  void validate();
  void end_epoch();

  Network& net;
  TrainData data;
  TrainOptions options;
  TorchGenerator& generator;
  ParameterBlock block;
  std::unique_ptr<Optimizer> optimizer;
  Batches batches;
  Step step;
  std::vector<Tensor> selection;  // the step's inputs (data.h)
  // Of the running epoch, on the device (tally_update, ops.h).
  Tensor tally = Tensor::zeros({9}, DType::f64);

  int64_t done = 0;  // steps
  // Of the running epoch. Up to its end train_loss and grad_norm_mean are sums; these and the
  // counts are those of the last collect().
  EpochRecord current;
  int64_t finite_norms = 0, loss_rows = 0;  // rows that train_loss counts
  std::vector<double> step_ms;
  EpochRecord former;  // of the epoch before, and its times: the state after a stop in a first step
  std::vector<double> former_ms;
  StepTime last_step;
  int64_t waiting = 0;               // steps since the last wait()
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
