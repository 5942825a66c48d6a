// Reductions of x seen as (outer, r, inner) over r, to y (outer, inner).
#pragma once
#include "core/exec.h"

namespace sinew {

enum class ReduceOp : uint8_t { sum, max, min, argmax };

// The CPU cuts long sums into pieces of this many elements.
constexpr int64_t reduce_piece = 4096;

struct ReduceArgs {
  ReduceOp op;
  DType x_type;
  DType y_type;  // x_type on the CPU; f32 or bf16 for the other on CUDA; of argmax i32
  const void* x;
  void* y;
  void* partial;  // (outer, pieces, inner) results of pieces, combined in order, if pieces > 1
  int64_t outer, r, inner, pieces;  // argmax needs inner == 1
};
template <class D>
void reduce(D& device, const ReduceArgs& args);

}  // namespace sinew
