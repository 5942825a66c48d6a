// Strided copy: the outer axes are walked by an odometer per task, the innermost is a plain loop
// (memcpy where both strides are 1). Cast: one loop per pair of types.
#include "ops/copy.h"

#include <cmath>
#include <cstring>

#include "core/parallel.h"

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

struct Bf16 {
  uint16_t bits;
};
template <class From>
inline float widen(From v) {
  return static_cast<float>(v);
}
inline double widen(int32_t v) { return v; }
inline double widen(double v) { return v; }
inline float widen(Bf16 v) {
  const uint32_t bits = static_cast<uint32_t>(v.bits) << 16;
  float out;
  __builtin_memcpy(&out, &bits, 4);
  return out;
}
// Truncates and saturates; NaN becomes 0. Out-of-range conversions are undefined in C++.
template <class To, class From>
inline To to_integer(From v, double low, double high) {
  const double d = static_cast<double>(v);
  if (!(d == d)) return 0;
  return d <= low ? static_cast<To>(low) : d >= high ? static_cast<To>(high) : static_cast<To>(d);
}
template <class To>
struct Narrow {
  template <class From>
  static To from(From v) {
    return static_cast<To>(v);
  }
};
template <>
struct Narrow<int32_t> {
  template <class From>
  static int32_t from(From v) {
    return to_integer<int32_t>(v, -2147483648.0, 2147483647.0);
  }
};
template <>
struct Narrow<uint8_t> {
  template <class From>
  static uint8_t from(From v) {
    return to_integer<uint8_t>(v, 0.0, 255.0);
  }
};
template <>
struct Narrow<Bf16> {  // round to nearest even
  template <class From>
  static Bf16 from(From v) {
    const float value = static_cast<float>(v);
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    if (value == value &&
        static_cast<double>(value) != static_cast<double>(v)) {  // to odd, to be rounded only once
      bits -= std::abs(static_cast<double>(value)) > std::abs(static_cast<double>(v));
      bits |= 1;
    }
    if (value != value) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
  }
};

template <class From, class To>
void cast_elements(Cpu& device, const CastArgs& a) {
  const From* x = static_cast<const From*>(a.x);
  To* y = static_cast<To*>(a.y);
  parallel_pieces(device, a.n, 16384, 1, [=](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i) y[i] = Narrow<To>::from(widen(x[i]));
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
