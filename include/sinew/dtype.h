// Element types of a Tensor. Arithmetic is f64 for f64 and f32 for everything else; nothing is
// promoted silently: `cast` (ops.h) converts. On the CPU bf16 is a storage type only.
#pragma once
#include <cstdint>

namespace sinew {

enum class DType : uint8_t { f32, f64, bf16, i32, u8 };

int64_t size_of(DType dtype);   // bytes of one element
const char* name(DType dtype);  // "f32", "f64", "bf16", "i32", "u8"
bool is_floating(DType dtype);  // f32, f64, bf16

}  // namespace sinew
