// The trainable tensors of a network as one flat block, their gradients as another: the optimizer,
// the clipping and a checkpoint each handle one tensor instead of hundreds.
//
//     ParameterBlock block(net.parameters());  // once; the network must not move afterwards
//     Tape tape;
//     block.watch(tape);
//     block.backward(tape, mse(net(x), t));    // fills block.gradients
#pragma once
#include <string>
#include <vector>

#include "sinew/tape.h"
#include "sinew/tensor.h"

namespace sinew {

struct Parameter {
  std::string name;
  Tensor* tensor;  // in the network, which owns it
  bool trainable = true;
};

// A value under its name, as in a state dict or a file; the order counts.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};
using NamedTensors = std::vector<NamedTensor>;

class ParameterBlock {
 public:
  // Copies the values of the trainable parameters, in order, into `values` and makes each *tensor
  // the slice of it that holds its values. Throws if none is trainable, if one is undefined or not
  // f32 or f64, if their dtypes differ, or if two share a name or storage.
  explicit ParameterBlock(const std::vector<Parameter>& parameters);

  Tensor values;     // (size)
  Tensor gradients;  // (size), zeros at first

  // Makes each trainable parameter a leaf of the tape. Call it before the forward pass.
  void watch(Tape& tape);
  // gradients = d loss / d values; zeros for parameters that loss does not depend on.
  void backward(Tape& tape, const Tensor& loss);

  int64_t size() const { return values.numel(); }
  // Those given to the constructor, the frozen ones too.
  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  std::vector<Parameter> parameters_;
};

// sqrt(sum(gradients^2)) over the whole block: a scalar on the device, summed in a fixed order.
Tensor gradient_norm(const ParameterBlock& block);

}  // namespace sinew
