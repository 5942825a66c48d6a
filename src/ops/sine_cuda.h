// For the .cu files with a sine: parameters from the raw ones, and the argument of the decay.
#pragma once
#include "core/scalar.h"
#include "cuda/kernel.h"
#include "ops/sine.h"

namespace sinew {
namespace {

constexpr double frequency_floor = 1e-6;

__device__ __forceinline__ float effective_value(const void* raw, int64_t i, double floor,
                                                 SineBound bound) {
  const float v = Softplus::f(static_cast<const float*>(raw)[i], {}) + static_cast<float>(floor);
  const float low = static_cast<float>(bound.low), high = static_cast<float>(bound.high);
  return v < low ? low : v > high ? high : v;
}
__device__ __forceinline__ float raw_slope(const void* raw, int64_t i, double floor,
                                           SineBound bound) {  // d effective / d raw
  const float x = static_cast<const float*>(raw)[i];
  const float v = Softplus::f(x, {}) + static_cast<float>(floor);
  const bool outside = v < static_cast<float>(bound.low) || v > static_cast<float>(bound.high);
  return outside ? 0.0f : Softplus::d(x, {});
}

// A, f, d and phi of feature i to effective[0], [n], [2 n] and [3 n] + i.
__device__ __forceinline__ void make_effective(const SineParameters& raw, int64_t i, int64_t n,
                                               float* effective) {
  effective[i] = effective_value(raw.amplitude, i, 0, raw.amplitude_bound);
  effective[n + i] = effective_value(raw.frequency, i, frequency_floor, raw.frequency_bound);
  effective[2 * n + i] = effective_value(raw.decay, i, 0, raw.decay_bound);
  effective[3 * n + i] = raw.phase ? static_cast<const float*>(raw.phase)[i] : 0;
}

// The gradient of raw vector k (amplitude, frequency, decay, phase) of feature i, from the sum over
// the rows: of q y, q c z, -q y g or q c.
__device__ __forceinline__ float raw_gradient(const SineParameters& raw, int k, int64_t i,
                                              const float* effective, float sum) {
  if (k == 0)
    return effective[i] == 0
               ? 0
               : sum / effective[i] * raw_slope(raw.amplitude, i, 0, raw.amplitude_bound);
  if (k == 1) return sum * raw_slope(raw.frequency, i, frequency_floor, raw.frequency_bound);
  if (k == 2) return sum * raw_slope(raw.decay, i, 0, raw.decay_bound);
  return sum;
}

__device__ __forceinline__ float decay_argument(int mode, float z) {
  return mode == 0 ? fabsf(z) : mode == 1 && z > 0 ? z : 0;
}
__device__ __forceinline__ float decay_slope(int mode, float z) {
  if (mode == 2) return 0;
  return z > 0 ? 1 : mode == 0 && z < 0 ? -1 : 0;
}

}  // namespace
}  // namespace sinew
