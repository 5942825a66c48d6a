// Reductions of x seen as (outer, r, inner) over r, to y (outer, inner).
#pragma once
#include "core/exec.h"

namespace sinew {

enum class ReduceOp : uint8_t { sum, max, min, argmax };

// Long sums are cut into pieces of this many elements, whose partial sums are added in order.
constexpr int64_t reduce_piece = 4096;

struct ReduceArgs {
  ReduceOp op;
  DType dtype;  // of x and y; argmax writes i32 and needs inner == 1
  const void* x;
  void* y;
  void* partial;  // sum with inner == 1 and r > reduce_piece: outer * ceil(r / reduce_piece)
  int64_t outer, r, inner;
};
template <class D>
void reduce(D& device, const ReduceArgs& args);

}  // namespace sinew
