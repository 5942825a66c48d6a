// Strided copies, the one kernel behind permute, slice, concat and broadcast_to, and conversion
// between element types. Strides are in elements; a source stride of 0 repeats.
#pragma once
#include "core/exec.h"
#include "sinew/shape.h"

namespace sinew {

struct CopyArgs {
  int64_t element_size;  // bytes: 1, 2, 4 or 8
  const void* x;
  void* y;
  int rank;
  int64_t sizes[Shape::max_rank];
  int64_t x_strides[Shape::max_rank];
  int64_t y_strides[Shape::max_rank];
};
template <class D>
void copy(D& device, const CopyArgs& args);

inline CopyArgs contiguous_copy(int64_t element_size, const void* x, void* y, int64_t n) {
  return {element_size, x, y, 1, {n}, {1}, {1}};
}

struct CastArgs {  // y[i] = (y_type) x[i]
  DType x_type, y_type;
  const void* x;
  void* y;
  int64_t n;
};
template <class D>
void cast(D& device, const CastArgs& args);

}  // namespace sinew
