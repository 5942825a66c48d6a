// First gradients as functions, so that parity of their gradients is parity of the second order.
#pragma once
#include <vector>

#include "sinew/tape.h"

namespace sinew::test {

// d(sum(y^2) / 2) / d(in[which]), y = f(in), on the active tape.
template <class F>
Tensor first_gradient(const F& f, const std::vector<Tensor>& in, size_t which) {
  const Tensor y = f(in);
  GradientOptions options;
  options.cotangent = y;
  options.create_graph = true;
  return Tape::active()->gradients(y, {in[which]}, options)[0];
}

}  // namespace sinew::test
