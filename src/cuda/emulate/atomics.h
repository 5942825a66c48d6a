// Emulated CUDA: atomics, plain since one thread runs at a time, and cached loads and stores.
// Exactly CUDA's types: int, unsigned, unsigned long long (not uint64_t), float, double.
#pragma once
#include <cstring>

#include "cuda/emulate/types.h"

namespace sinew::emulate {

using ULongLong = unsigned long long;

#define SINEW_ATOMIC(name, T, changed)  \
  inline T name(T* address, T value) {  \
    const T old = *address;             \
    *address = static_cast<T>(changed); \
    return old;                         \
  }
SINEW_ATOMIC(atomicAdd, int, unsigned(old) + unsigned(value))
SINEW_ATOMIC(atomicAdd, unsigned, old + value)
SINEW_ATOMIC(atomicAdd, ULongLong, old + value)
SINEW_ATOMIC(atomicAdd, float, old + value)
SINEW_ATOMIC(atomicAdd, double, old + value)
SINEW_ATOMIC(atomicSub, int, unsigned(old) - unsigned(value))
SINEW_ATOMIC(atomicSub, unsigned, old - value)
SINEW_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
#define SINEW_ATOMIC_INTEGERS(T)                          \
  SINEW_ATOMIC(atomicMax, T, old > value ? old : value)   \
  SINEW_ATOMIC(atomicMin, T, old < value ? old : value)   \
  SINEW_ATOMIC(atomicExch, T, value)                      \
  SINEW_ATOMIC(atomicAnd, T, old& value)                  \
  SINEW_ATOMIC(atomicOr, T, old | value)                  \
  SINEW_ATOMIC(atomicXor, T, old ^ value)                 \
  inline T atomicCAS(T* address, T expected, T desired) { \
    const T old = *address;                               \
    if (old == expected) *address = desired;              \
    return old;                                           \
  }
SINEW_ATOMIC_INTEGERS(int)
SINEW_ATOMIC_INTEGERS(unsigned)
SINEW_ATOMIC_INTEGERS(ULongLong)
SINEW_ATOMIC(atomicExch, float, value)
#undef SINEW_ATOMIC_INTEGERS
#undef SINEW_ATOMIC

template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
T __ldcg(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, T value) {
  *address = value;
}

}  // namespace sinew::emulate
