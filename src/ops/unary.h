// y[i] = f(x[i]), or dy[i] f'(x[i]), or dy[i] f''(x[i]), for the functions of core/scalar.h.
#pragma once
#include "core/exec.h"
#include "core/scalar.h"

namespace sinew {

struct UnaryArgs {
  UnaryOp op;
  int order;  // 0: f(x); 1, 2: dy times the first or second derivative
  DType dtype;
  const void* x;
  const void* dy;  // null for order 0
  void* y;
  int64_t n;
  ScalarArgs constants;
};
template <class D>
void unary(D& device, const UnaryArgs& args);

}  // namespace sinew
