// Cases of single ops: of a function of some tensors, forward and with its gradients.
#pragma once
#include "bench_cost.h"
#include "sinew/tape.h"

namespace sinew::tools {

using Tensors = std::vector<Tensor>;
using Inputs = std::function<Tensors()>;

// The gradient of one input alone.
struct Partial {
  std::string name;
  size_t wrt;                 // of the op's inputs
  std::vector<size_t> reads;  // inputs that it depends on
  double operations;          // per element of the first input
};

struct Op {
  std::string name;
  Inputs inputs;
  size_t wrt;  // so many of the inputs, from the first one, get gradients
  std::function<Tensor(const Tensors&)> f;
  PerElement operations;
  Saves saves = Saves::inputs;
  std::vector<Partial> partials = {};
};

// x for ops on a tape that is asked for x's gradient, and in `wrt` what to ask for. A tape takes no
// leaf of bf16: such an x follows from a leaf by a function that drops the gradient.
Tensor tracked(Tape& tape, Tensor& x, Tensors& wrt);

class OpCases {
 public:
  OpCases(Cases& out, Precision precision, Sizes sizes)
      : out_(out), precision_(precision), full_(sizes == Sizes::full) {}

 protected:
  // op/NAME/forward and, where there are gradients, op/NAME/gradient; op/NAME/PARTIAL, which like
  // all gradients includes forward.
  void add(const Op& op);
  // Larger than a cache, with rows as wide as layers are.
  Shape block() const { return full_ ? Shape{16384, 1024} : Shape{8, 16}; }
  // So many random blocks, each element in [low, 1).
  Inputs blocks(int count, double low = -1) const;
  // A block and so many vectors of one number per feature.
  Inputs with_vectors(int count) const;

  Cases& out_;
  Precision precision_;
  bool full_;
};

}  // namespace sinew::tools
