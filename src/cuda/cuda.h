// The one header through which a .cu file sees the CUDA runtime: NVIDIA's under nvcc, ours of
// cuda/emulate/ with SINEW_EMULATE_CUDA, where the host compiler builds the same file. What the two
// spell differently is here: launch() in place of <<< >>>, dynamic_shared() in place of an extern
// array. Plain data only: no <string>, no <functional>, so that nvcc stays fast.
#pragma once
#ifdef SINEW_EMULATE_CUDA
#include "cuda/emulate/atomics.h"
#include "cuda/emulate/bf16.h"
#include "cuda/emulate/kernel.h"
#include "cuda/emulate/math.h"
#include "cuda/emulate/runtime.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

namespace sinew {

[[noreturn]] void cuda_fail(const char* what, const char* fact);  // throws Error("what: fact")

inline void cuda_check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // the exception carries it from here
  cuda_fail(what, cudaGetErrorString(status));
}

#if defined(SINEW_EMULATE_CUDA) || defined(__CUDACC__)

// The block's shared memory of the launch's shared_bytes, aligned to 16 bytes.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#ifdef SINEW_EMULATE_CUDA
  return static_cast<T*>(emulate::dynamic_shared_memory());
#else
  extern __shared__ __align__(16) unsigned char sinew_dynamic_shared[];
  return reinterpret_cast<T*>(sinew_dynamic_shared);
#endif
}

// kernel<<<grid, block, shared_bytes, stream>>>(args...); throws Error on a launch that fails.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            A... args) {
  static_assert(sizeof...(P) == sizeof...(A), "launch: arguments and parameters differ in number");
#ifdef SINEW_EMULATE_CUDA
  cuda_check(emulate::launch({grid, block, shared_bytes, stream}, kernel, static_cast<P>(args)...),
             "launch");
#else
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cuda_check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), "launch");
#endif
}

#endif

}  // namespace sinew
