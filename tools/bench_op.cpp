// How a single op becomes a case: bench_op.h.
#include "bench_op.h"

#include <memory>

#include "sinew/tape.h"

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
  out.call = [in, dy, f = op.f, wrt = op.wrt](const Tensors&) {
    Tape tape;
    for (size_t i = 0; i < wrt; ++i) tape.watch((*in)[i]);
    const Tensors watched(in->begin(), in->begin() + static_cast<std::ptrdiff_t>(wrt));
    return tape.gradients(f(*in), watched, {.cotangent = dy});
  };
  return out;
}

}  // namespace

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
