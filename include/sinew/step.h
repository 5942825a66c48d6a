// A training step that is recorded once and replayed.
//
//     Step step([&](const std::vector<Tensor>& batch) {
//       Tape tape;
//       block.watch(tape);
//       Tensor loss = mse(net(batch[0], Mode::train), batch[1]);
//       block.backward(tape, loss);
//       optimizer.step();
//       return std::vector<Tensor>{loss};
//     });
//     for (...) loss = step({x, t})[0];
//
// For each combination of input shapes and dtypes, call 1 runs the function, call 2 runs it and
// records its kernel calls, later calls copy the inputs to fixed buffers and replay the kernels:
// no tape, no tensors made, no allocation, no lock. Every call is one full step, and a replayed
// step gives the same bits as an eager one.
//
// On a replay the function is not called. What it read from host variables is fixed; what it read
// from tensors is not: parameters, moments, learning rate (Optimizer::set_lr writes a device word),
// step count and mask counter live in tensors. While recording, host access to tensors throws.
// Thread count and instruction set are those of the recording call. A step cannot run under an
// active tape: its tape lies inside the function.
#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "sinew/tensor.h"

namespace sinew {

class Step {
 public:
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

  explicit Step(Function f);
  ~Step();
  Step(Step&&) noexcept;
  Step& operator=(Step&&) noexcept;

  // The function's outputs. The vector holds until the next call with these shapes; so do the
  // tensors of a recorded step, which that call overwrites.
  const std::vector<Tensor>& operator()(std::span<const Tensor> inputs);
  const std::vector<Tensor>& operator()(std::initializer_list<Tensor> inputs);

  MemoryStats memory() const;  // of the step's own pools, one per combination of shapes
  int64_t recorded() const;    // kernel calls of all recordings

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sinew
