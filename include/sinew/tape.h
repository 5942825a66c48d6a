// Reverse-mode differentiation on a tape.
//
//     Tape tape;                        // active in this thread until it goes out of scope
//     tape.watch(w);                    // a leaf; ops on watched tensors are recorded
//     Tensor loss = mse(matmul(x, w), t);
//     Tensor dw = tape.gradients(loss, {w})[0];
//
// Without an active tape nothing is recorded: inference is the default. Backward runs the recorded
// nodes in reverse order; each closure calls public ops, so with create_graph the gradients are
// recorded themselves and can be differentiated again. Elementwise functions (sin, exp, ...) end at
// their second derivative, and with them the norms and `sine`; linear ops go to any order.
#pragma once
#include <deque>
#include <functional>
#include <vector>

#include "sinew/tensor.h"

namespace sinew {

struct GradientOptions {
  Tensor cotangent;           // dL/dy; default: 1, then y must have one element
  bool create_graph = false;  // record the backward pass, so that it can be differentiated
  bool retain_graph = false;  // keep the saved tensors for another call (create_graph implies it)
};

// Collects the gradients that one closure computes for its inputs.
class Cotangents {
 public:
  bool needs(int input) const;  // false: nobody asked for this input's gradient
  // Adds dx to the input's gradient. The dtype must match; broadcast axes are summed here, once
  // for all ops; any other shape mismatch throws.
  void add(int input, const Tensor& dx);

 private:
  friend class Tape;
  Cotangents(class Tape& tape, const std::vector<int32_t>& inputs, std::vector<Tensor>& sums,
             const std::vector<char>& wanted)
      : tape_(tape), inputs_(inputs), sums_(sums), wanted_(wanted) {}
  class Tape& tape_;
  const std::vector<int32_t>& inputs_;  // node numbers, -1 for an untracked input
  std::vector<Tensor>& sums_;
  const std::vector<char>& wanted_;
};

using Backward = std::function<void(const Tensor& dy, Cotangents& dx)>;

class Tape {
 public:
  Tape();  // becomes the thread's active tape; the former one is active again afterwards
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // Makes t, f32 or f64, a leaf of this tape; nothing happens if the tape has it already. Do not
  // write to it (assign) before its gradients are taken. Throws for a tensor of an outer tape; so
  // do ops on one while this tape is active: use detach().
  void watch(Tensor& t);
  bool tracks(const Tensor& t) const { return t.tape_ == id_ && t.node_ >= 0; }

  // d(sum(y * cotangent)) / d(each of wrt), zeros where y does not depend on it. Gradients may
  // share storage with each other and with the cotangent.
  std::vector<Tensor> gradients(const Tensor& y, const std::vector<Tensor>& wrt,
                                const GradientOptions& options = {});

  int64_t size() const { return static_cast<int64_t>(nodes_.size()); }
  static Tape* active();

  // For ops: appends y = f(inputs) with its backward closure, if any input is tracked.
  void record(Tensor& y, const std::vector<Tensor>& inputs, Backward backward);

 private:
  friend class Cotangents;
  struct Node {
    std::vector<int32_t> inputs;
    Backward backward;
    Shape shape;
    DType dtype;
  };
  void require_not_on_outer_tape(const Tensor& t) const;
  std::vector<char> mark_wanted(int32_t last, const std::vector<Tensor>& wrt) const;
  void check(const Tensor& y, const std::vector<Tensor>& wrt, const Tensor& cotangent) const;
  std::deque<Node> nodes_;
  uint64_t id_;
  Tape* former_;
};

// Ops call this: records y on the active tape, if there is one.
void record(Tensor& y, const std::vector<Tensor>& inputs, Backward backward);

// Backward of a fused op under create_graph (Tape::active() is then not null in the closure): runs
// the composed form `f` of the same function on the active tape and returns the gradient of each
// input at dy, differentiable again; undefined for inputs that are not tracked.
std::vector<Tensor> composed_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                                       const std::vector<Tensor>& inputs, const Tensor& dy);

}  // namespace sinew
