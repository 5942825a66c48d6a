// ParameterBlock: the parameters lie one after the other, row-major, in the order of the list.
// Their gradients come from the tape as separate tensors; one kernel puts them in the same order.
#include "sinew/parameters.h"

#include <set>

#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

void check(const std::vector<Parameter>& parameters) {
  std::set<std::string> names;
  const Tensor* first = nullptr;
  for (const Parameter& p : parameters) {
    const std::string what = "parameters: '" + p.name + "' ";
    if (!names.insert(p.name).second) throw Error(what + "is listed twice");
    if (!p.tensor || !p.tensor->defined()) throw Error(what + "is undefined");
    if (!p.trainable) continue;
    const DType dtype = p.tensor->dtype();
    if (dtype != DType::f32 && dtype != DType::f64)
      throw Error(what + "is trainable but not f32 or f64 (" + name(dtype) + ")");
    if (!first) first = p.tensor;
    if (dtype != first->dtype())
      throw Error(what + "has another dtype than the first (" + name(dtype) + ", " +
                  name(first->dtype()) + ")");
    for (const Parameter* other = parameters.data(); other != &p; ++other)
      if (p.tensor->numel() > 0 && p.tensor->same_storage(*other->tensor))
        throw Error(what + "shares its storage with '" + other->name + "'");
  }
  if (!first) throw Error("parameters: none is trainable");
}

}  // namespace

ParameterBlock::ParameterBlock(const std::vector<Parameter>& parameters) : parameters_(parameters) {
  check(parameters_);
  int64_t size = 0;
  DType dtype = DType::f32;
  for (const Parameter& p : parameters_) {
    if (!p.trainable) continue;
    size += p.tensor->numel();
    dtype = p.tensor->dtype();
  }
  values = Tensor({size}, dtype);
  gradients = Tensor::zeros({size}, dtype);
  int64_t offset = 0;
  for (const Parameter& p : parameters_) {
    if (!p.trainable) continue;
    Tensor slice = values.view(offset, p.tensor->shape());
    slice.assign(*p.tensor);
    *p.tensor = slice;
    offset += slice.numel();
  }
}

void ParameterBlock::watch(Tape& tape) {
  for (const Parameter& p : parameters_)
    if (p.trainable) tape.watch(*p.tensor);
}

void ParameterBlock::backward(Tape& tape, const Tensor& loss) {
  std::vector<Tensor> leaves;
  for (const Parameter& p : parameters_)
    if (p.trainable) leaves.push_back(*p.tensor);
  pack(gradients, tape.gradients(loss, leaves));
}

Tensor gradient_norm(const ParameterBlock& block) { return sqrt(sum(square(block.gradients))); }

}  // namespace sinew
