// y[i] = value, i < n.
#pragma once
#include "core/exec.h"

namespace sinew {

struct FillArgs {
  DType dtype;
  void* y;
  int64_t n;
  double value;
};
template <class D>
void fill(D& device, const FillArgs& args);

}  // namespace sinew
