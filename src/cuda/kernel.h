// What the .cu files share: element types, elementwise launches, sums over a warp and a block in a
// fixed order.
#pragma once
#include "core/exec.h"
#include "cuda/cuda.h"

namespace sinew {
namespace {

using bf16 = __nv_bfloat16;

inline cudaStream_t stream_of(const Cuda& device) {
  return static_cast<cudaStream_t>(device.stream);
}

// Storage to arithmetic and back.
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(bf16 x) { return __bfloat162float(x); }
template <class T>
struct Store {
  static __device__ __forceinline__ T from(float x) { return x; }
};
template <>
struct Store<bf16> {
  static __device__ __forceinline__ bf16 from(float x) { return __float2bfloat16_rn(x); }
};

// Calls f(T()) with the storage type of a kernel: f32 or bf16.
template <class F>
void by_storage_type(DType dtype, const F& f) {
  if (dtype == DType::bf16)
    f(bf16());
  else
    f(float());
}

constexpr int threads_per_block = 256;

// For kernels that go on in strides of the whole grid.
inline unsigned blocks_for(int64_t n) {
  const int64_t blocks = (n + threads_per_block - 1) / threads_per_block, most = int64_t{1} << 20;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

// f(i) for 0 <= i < n: one element per thread, strides of the whole grid beyond 2^28 elements.
template <class F>
__global__ void __launch_bounds__(threads_per_block) each_kernel(F f, int64_t n) {
  const int64_t step = int64_t{gridDim.x} * threads_per_block;
#pragma unroll 1  // nearly always one turn
  for (int64_t i = int64_t{blockIdx.x} * threads_per_block + threadIdx.x; i < n; i += step) f(i);
}
// F: a struct of plain data with `__device__ void operator()(int64_t i) const`.
template <class F>
void for_each(const Cuda& device, int64_t n, const F& f) {
  if (n > 0) launch(each_kernel<F>, blocks_for(n), threads_per_block, 0, stream_of(device), f, n);
}

// Sum of the 32 lanes, in every lane: the same bits in each, pairs at distance 16, 8, 4, 2, 1.
__device__ __forceinline__ float warp_sum(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
// Sum over a block of whole warps, at most 1024 threads, in every thread. Every thread calls it.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float of_warp[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  x = warp_sum(x);
  __syncthreads();  // an earlier call's readers are done
  if (lane == 0) of_warp[warp] = x;
  __syncthreads();
  return warp_sum(lane < static_cast<int>(blockDim.x) / 32 ? of_warp[lane] : 0.0f);
}

}  // namespace
}  // namespace sinew
