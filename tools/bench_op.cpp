// How a single op becomes a case: bench_op.h.
#include "bench_op.h"

#include <memory>

namespace sinew::tools {
namespace {

using SharedInputs = std::shared_ptr<const Tensors>;

// Forward, and the gradients of inputs [first, last).
Step::Function gradients(const Op& op, const SharedInputs& in, const Tensor& y, size_t first,
                         size_t last) {
  const Tensor dy = random_tensor(y.shape(), y.dtype());
  return [=, f = op.f](const Tensors&) {
    Tape tape;
    Tensors x = *in, wrt;
    for (size_t i = first; i < last; ++i) x[i] = tracked(tape, x[i], wrt);
    return tape.gradients(f(x), wrt, {.cotangent = dy});
  };
}

Prepared prepare(const Op& op, Pass pass) {
  const auto in = std::make_shared<const Tensors>(op.inputs());
  const Tensor y = op.f(*in);
  Prepared out;
  out.cost = cost_of(*in, op.wrt, y, op.operations, op.saves, pass);
  if (pass == Pass::forward)
    out.call = [in, f = op.f](const Tensors&) { return Tensors{f(*in)}; };
  else
    out.call = gradients(op, in, y, 0, op.wrt);
  return out;
}

Prepared prepare(const Op& op, const Partial& partial) {
  const auto in = std::make_shared<const Tensors>(op.inputs());
  const Tensor y = op.f(*in);
  double bytes = bytes_of(y) + bytes_of(in->at(partial.wrt));
  for (const size_t i : partial.reads) bytes += bytes_of(in->at(i));
  Prepared out;
  out.cost = cost_of(*in, 0, y, op.operations, op.saves, Pass::forward) +
             Cost{bytes, static_cast<double>(in->at(0).numel()) * partial.operations};
  out.call = gradients(op, in, y, partial.wrt, partial.wrt + 1);
  return out;
}

}  // namespace

Tensor tracked(Tape& tape, Tensor& x, Tensors& wrt) {
  if (x.dtype() != DType::bf16) {
    tape.watch(x);
    wrt.push_back(x);
    return x;
  }
  Tensor leaf({1}), y = x.detach();
  tape.watch(leaf);
  wrt.push_back(leaf);
  record(y, {leaf}, [](const Tensor&, Cotangents&) {});
  return y;
}

void OpCases::add(const Op& op) {
  out_.push_back({"op/" + op.name + "/forward", [op] { return prepare(op, Pass::forward); }});
  if (op.wrt == 0) return;
  out_.push_back({"op/" + op.name + "/gradient", [op] { return prepare(op, Pass::gradient); }});
  for (const Partial& partial : op.partials)
    out_.push_back(
        {"op/" + op.name + "/" + partial.name, [op, partial] { return prepare(op, partial); }});
}

Inputs OpCases::blocks(int count, double low) const {
  return [count, low, shape = block(), dtype = precision_.activations] {
    Tensors out;
    for (int i = 0; i < count; ++i) out.push_back(random_tensor(shape, dtype, low));
    return out;
  };
}

Inputs OpCases::with_vectors(int count) const {
  return [count, shape = block(), p = precision_] {
    Tensors out{random_tensor(shape, p.activations)};
    for (int i = 0; i < count; ++i)
      out.push_back(random_tensor({shape.dim(-1)}, p.parameters, 0.1));
    return out;
  };
}

}  // namespace sinew::tools
