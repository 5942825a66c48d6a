// gather: one task per row of y. scatter_add: one task per range of rows of y; it reads the whole
// index and adds, in the order of i, what falls into its range, so that bits do not depend on the
// ranges.
// A replayed step can bring an index that no one checked: out of range, gather gives a row of 0xFF
// bytes (NaN in floating types) and scatter_add leaves the row out; neither touches other memory.
#include "ops/gather.h"

#include <cstring>

#include "core/parallel.h"

namespace sinew {
namespace {

template <class T>
void scatter_range(const ScatterArgs& a, int64_t first, int64_t end) {
  T* y = static_cast<T*>(a.y);
  for (int64_t i = first * a.row; i < end * a.row; ++i) y[i] = T(0);
  for (int64_t i = 0; i < a.count; ++i) {
    if (a.index[i] < first || a.index[i] >= end) continue;
    const T* from = static_cast<const T*>(a.x) + i * a.row;
    T* to = y + a.index[i] * a.row;
    for (int64_t k = 0; k < a.row; ++k) to[k] += from[k];
  }
}

}  // namespace

template <>
void gather(Cpu& device, const GatherArgs& a) {
  parallel_for(device, a.count, a.row_bytes / 8 + 4, [&](int64_t i) {
    char* y = static_cast<char*>(a.y) + i * a.row_bytes;
    const int64_t row = a.index[i];
    if (row >= 0 && row < a.rows)
      std::memcpy(y, static_cast<const char*>(a.x) + row * a.row_bytes,
                  static_cast<size_t>(a.row_bytes));
    else
      std::memset(y, 0xFF, static_cast<size_t>(a.row_bytes));
  });
}

template <>
void scatter_add(Cpu& device, const ScatterArgs& a) {
  const int64_t ranges = a.rows < device.threads ? a.rows : device.threads;
  if (ranges == 0) return;
  const int64_t cost = (a.count * (a.row + 1) + a.rows * a.row) / ranges + 1;
  parallel_for(device, ranges, cost, [&](int64_t r) {
    const int64_t first = a.rows * r / ranges, end = a.rows * (r + 1) / ranges;
    if (a.dtype == DType::f64)
      scatter_range<double>(a, first, end);
    else
      scatter_range<float>(a, first, end);
  });
}

}  // namespace sinew
