// Marks small functions that run on the host and inside CUDA kernels.
#pragma once

#ifdef __CUDACC__
#define SINEW_HD __host__ __device__ __forceinline__
#else
#define SINEW_HD inline __attribute__((always_inline))
#endif
