// How a single op becomes a case: bench_op.h.
#include "bench_op.h"

#include <memory>

namespace sinew::tools {
namespace {

Prepared prepare(const Op& op, Pass pass) {
  const auto in = std::make_shared<Tensors>(op.inputs());
  const Tensor y = op.f(*in);
  Prepared out;
  out.cost = cost_of(*in, op.wrt, y, op.operations, op.saves, pass);
  if (pass == Pass::forward) {
    out.call = [in, f = op.f](const Tensors&) { return Tensors{f(*in)}; };
    return out;
  }
  const Tensor dy = random_tensor(y.shape(), y.dtype());
  out.call = [in, dy, f = op.f, count = op.wrt](const Tensors&) {
    Tape tape;
    Tensors x = *in, wrt;
    for (size_t i = 0; i < count; ++i) x[i] = tracked(tape, x[i], wrt);
    return tape.gradients(f(x), wrt, {.cotangent = dy});
  };
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
