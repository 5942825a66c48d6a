// Kernels for the tests of the emulation, each with its launch. All pointers are device memory.
#pragma once
#include <cstdint>

#include "cuda/cuda.h"

namespace sinew::test {

enum class Fault { none, missing_barrier };

void add(const float* x, const float* y, float* z, int n, cudaStream_t stream = nullptr);
// sums[b] = sum of x[256 b ... 256 b + 255], by shuffles and shared memory
void block_sum(const float* x, float* sums, int blocks, Fault fault = Fault::none);
// y = x passed on by one place round the block of 256, `steps` times with one barrier each
void pass_round(const int* x, int* y, int blocks, int steps);
void transpose(const float* x, float* y, int rows, int columns);
void reverse(const int* x, int* y, int n, size_t shared_bytes);  // one block, dynamic shared memory
void order(unsigned* counter, int* ranks, int blocks, int threads);  // ranks[i]: i ran as which
void atomics(const int* x, int n, int* histogram, int* extremes, float* sum,
             unsigned long long* wide);
inline constexpr int vote_words = 18;
void votes(const int* x, int* results, int threads);  // vote_words per thread
void round_bf16(const float* x, unsigned short* bits, float* back, int n);
void pairs_bf16(const float* x, float* y, int n);  // through __nv_bfloat162
void functions(const float* x, float* y, int n);   // see function_values
inline constexpr int function_count = 10;
void early_exit(int* counts, int n, int threads);  // threads from n on exit before barriers

// What must be caught
void write_at(float* x, int64_t index);
void read_at(const float* x, int64_t index, float* y);
void divergent_barrier(int threads);  // half of them in another line
void lonely_barrier();                // thread 0 waits for the block, the others for its warp
void unmet_mask();    // lane 0 waits for lane 1, which waits for lane 2, which waits for lane 0
void foreign_mask();  // a mask without the calling lane
void trap();
void overrun_static(int index);
void overrun_dynamic(int bytes, int index);
void nothing(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream = nullptr);
cudaError_t allow_shared(int bytes);  // for nothing()

}  // namespace sinew::test
