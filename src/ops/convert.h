// Conversion between element types, alike on CPU and GPU. To integers: truncated and saturated, NaN
// becomes 0. To bf16: rounded once, to nearest even.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/hd.h"

namespace sinew {

struct Bf16 {
  uint16_t bits;
};

SINEW_HD float widened(uint8_t v) { return v; }
SINEW_HD float widened(float v) { return v; }
SINEW_HD double widened(int32_t v) { return v; }
SINEW_HD double widened(double v) { return v; }
SINEW_HD float widened(Bf16 v) {
  const uint32_t bits = static_cast<uint32_t>(v.bits) << 16;
  float out;
  memcpy(&out, &bits, 4);
  return out;
}

template <class To>
struct Narrow {
  template <class From>
  static SINEW_HD To from(From v) {
    return static_cast<To>(v);
  }
};
template <class To>
struct NarrowInteger {  // out-of-range conversions are undefined in C++
  template <class From>
  static SINEW_HD To from(From v) {
    const double d = static_cast<double>(v), low = sizeof(To) == 1 ? 0.0 : -2147483648.0,
                 high = sizeof(To) == 1 ? 255.0 : 2147483647.0;
    if (!(d == d)) return 0;
    return static_cast<To>(d <= low ? low : d >= high ? high : d);
  }
};
template <>
struct Narrow<int32_t> : NarrowInteger<int32_t> {};
template <>
struct Narrow<uint8_t> : NarrowInteger<uint8_t> {};
template <>
struct Narrow<Bf16> {
  template <class From>
  static SINEW_HD Bf16 from(From v) {
    const float value = static_cast<float>(v);
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (value != value) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
    if (static_cast<double>(value) != static_cast<double>(v)) {  // to odd, to be rounded only once
      bits -= std::abs(static_cast<double>(value)) > std::abs(static_cast<double>(v));
      bits |= 1;
    }
    return {static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
  }
};

}  // namespace sinew
