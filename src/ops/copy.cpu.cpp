// Strided copy: the outer axes are walked by an odometer per task, the innermost is a plain loop
// (memcpy where both strides are 1). Cast: one loop per pair of types.
#include "ops/copy.h"

#include <cstring>

#include "core/parallel.h"
#include "ops/convert.h"

namespace sinew {
namespace {

template <class T>
void copy_row(const T* x, int64_t x_stride, T* y, int64_t y_stride, int64_t n) {
  if (x_stride == 1 && y_stride == 1) {
    std::memcpy(y, x, static_cast<size_t>(n) * sizeof(T));
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * y_stride] = x[i * x_stride];
  }
}

template <class T>
void copy_strided(Cpu& device, const CopyArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  const int inner = a.rank - 1;
  if (a.rank == 0) {
    *y = *x;
    return;
  }
  if (a.rank == 1) {
    parallel_pieces(device, a.sizes[0], 65536, 1, [&](int64_t first, int64_t count) {
      copy_row(x + first * a.x_strides[0], a.x_strides[0], y + first * a.y_strides[0],
               a.y_strides[0], count);
    });
    return;
  }
  int64_t rows = 1;
  for (int d = 0; d < inner; ++d) rows *= a.sizes[d];
  parallel_for(device, rows, a.sizes[inner] + 4, [&](int64_t row) {
    int64_t from = 0, to = 0;
    for (int d = inner - 1; d >= 0; --d) {
      const int64_t i = row % a.sizes[d];
      row /= a.sizes[d];
      from += i * a.x_strides[d];
      to += i * a.y_strides[d];
    }
    copy_row(x + from, a.x_strides[inner], y + to, a.y_strides[inner], a.sizes[inner]);
  });
}

template <class From, class To>
void cast_elements(Cpu& device, const CastArgs& a) {
  const From* x = static_cast<const From*>(a.x);
  To* y = static_cast<To*>(a.y);
  parallel_pieces(device, a.n, 16384, 1, [=](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i) y[i] = Narrow<To>::from(widened(x[i]));
  });
}

template <class From>
void cast_from(Cpu& device, const CastArgs& a) {
  switch (a.y_type) {
    case DType::f32: return cast_elements<From, float>(device, a);
    case DType::f64: return cast_elements<From, double>(device, a);
    case DType::bf16: return cast_elements<From, Bf16>(device, a);
    case DType::i32: return cast_elements<From, int32_t>(device, a);
    case DType::u8: return cast_elements<From, uint8_t>(device, a);
  }
}

}  // namespace

template <>
void copy(Cpu& device, const CopyArgs& args) {
  for (int d = 0; d < args.rank; ++d)
    if (args.sizes[d] == 0) return;
  switch (args.element_size) {
    case 1: return copy_strided<uint8_t>(device, args);
    case 2: return copy_strided<uint16_t>(device, args);
    case 4: return copy_strided<uint32_t>(device, args);
    default: return copy_strided<uint64_t>(device, args);
  }
}

template <>
void cast(Cpu& device, const CastArgs& args) {
  switch (args.x_type) {
    case DType::f32: return cast_from<float>(device, args);
    case DType::f64: return cast_from<double>(device, args);
    case DType::bf16: return cast_from<Bf16>(device, args);
    case DType::i32: return cast_from<int32_t>(device, args);
    case DType::u8: return cast_from<uint8_t>(device, args);
  }
}

}  // namespace sinew
