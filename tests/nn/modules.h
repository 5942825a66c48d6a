// Modules as functions of their input and parameters, for gradient checks in f64.
#pragma once
#include <string>
#include <vector>

#include "gradcheck.h"
#include "sinew/nn.h"
#include "sinew/ops.h"

namespace sinew::test {

inline std::vector<Tensor*> tensors(const Members& members) {
  std::vector<Tensor*> out;
  for (const Member& m : members)
    if (m.tensor) out.push_back(m.tensor);
  return out;
}

inline Members members_of(Activation& act) {
  Members out;
  act.members("", out);
  return out;
}

// Casts the parameters to f64; returns x and them, the inputs of `function_of`.
inline std::vector<Tensor> inputs_of(const Tensor& x, const std::vector<Tensor*>& parameters) {
  std::vector<Tensor> inputs{x};
  for (Tensor* p : parameters) inputs.push_back(*p = cast(*p, DType::f64));
  return inputs;
}

template <class Module>
Function function_of(const Module& module, const std::vector<Tensor*>& parameters) {
  return [&module, parameters](const std::vector<Tensor>& in) {
    for (size_t i = 0; i < parameters.size(); ++i) *parameters[i] = in[i + 1];
    return module(in[0]);
  };
}

}  // namespace sinew::test
