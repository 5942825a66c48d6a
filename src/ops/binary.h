// y = f(a, b) with broadcasting, and where(cond, a, b). Sizes are merged as far as possible; the
// strides of a, b and cond are 0 along broadcast axes.
#pragma once
#include "core/exec.h"
#include "sinew/shape.h"

namespace sinew {

enum class BinaryOp : uint8_t { add, sub, mul, div, pow, minimum, maximum, less, equal, where };

struct BinaryArgs {
  BinaryOp op;
  DType a_dtype, b_dtype;  // equal but for arithmetic of bf16 with f32, on a GPU, which gives bf16
  const void* a;
  const void* b;
  const uint8_t* cond;  // where only
  void* y;              // contiguous; u8 for less and equal
  int rank;             // >= 1
  int64_t sizes[Shape::max_rank];
  int64_t a_strides[Shape::max_rank];
  int64_t b_strides[Shape::max_rank];
  int64_t cond_strides[Shape::max_rank];
};
template <class D>
void binary(D& device, const BinaryArgs& args);

}  // namespace sinew
