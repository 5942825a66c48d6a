// Kernels for the tests of the emulation, built by nvcc and, through kernels.cpp, by the host
// compiler. One thread per element unless said otherwise.
#include "cuda/kernels.h"

namespace sinew::test {
namespace {

__global__ void add_kernel(const float* x, const float* y, float* z, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) z[i] = x[i] + y[i];
}

template <Fault fault>
__global__ void __launch_bounds__(256) block_sum_kernel(const float* __restrict__ x, float* sums) {
  __shared__ float partial[8];
  const int lane = threadIdx.x % warpSize, warp = threadIdx.x / warpSize;
  float sum = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
  if (lane == 0) partial[warp] = sum;
  if (fault != Fault::missing_barrier) __syncthreads();
  if (warp == 0) {
    sum = lane < 8 ? partial[lane] : 0;
    for (int step = 4; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (lane == 0) sums[blockIdx.x] = sum;
  }
}

__global__ void pass_round_kernel(const int* x, int* y, int steps) {
  __shared__ int here[2][256];
  const int base = blockIdx.x * 256, t = threadIdx.x;
  here[0][t] = x[base + t];
  __syncthreads();
  for (int step = 1; step < steps; ++step) {
    here[step % 2][t] = here[(step + 1) % 2][(t + 1) % 256];
    __syncthreads();
  }
  y[base + t] = here[(steps + 1) % 2][(t + 1) % 256];
}

__global__ void transpose_kernel(const float* x, float* y, int rows, int columns) {
  __shared__ float tile[32][33];
  int row = blockIdx.y * 32 + threadIdx.y, column = blockIdx.x * 32 + threadIdx.x;
  for (int k = 0; k < 32; k += 8)
    if (row + k < rows && column < columns)
      tile[threadIdx.y + k][threadIdx.x] = x[(row + k) * columns + column];
  __syncthreads();
  row = blockIdx.x * 32 + threadIdx.y;  // of y
  column = blockIdx.y * 32 + threadIdx.x;
  for (int k = 0; k < 32; k += 8)
    if (row + k < columns && column < rows)
      y[(row + k) * rows + column] = tile[threadIdx.x][threadIdx.y + k];
}

__global__ void reverse_kernel(const int* x, int* y, int n) {
  int* held = dynamic_shared<int>();
  for (int i = threadIdx.x; i < n; i += blockDim.x) held[i] = x[i];
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = held[n - 1 - i];
}

__global__ void order_kernel(unsigned* counter, int* ranks) {
  ranks[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(atomicAdd(counter, 1u));
}

__global__ void atomics_kernel(const int* x, int n, int* histogram, int* extremes, float* sum,
                               unsigned long long* wide) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&histogram[x[i] & 7], 1);
  atomicMax(&extremes[0], x[i]);
  atomicMin(&extremes[1], x[i]);
  atomicOr(&extremes[2], x[i]);
  atomicAdd(sum, 0.5f);
  atomicAdd(&wide[0], 1ull << 33);
  for (unsigned long long seen = wide[1];;) {  // += 3 by compare and swap
    const unsigned long long old = atomicCAS(&wide[1], seen, seen + 3);
    if (old == seen) break;
    seen = old;
  }
  if (i == 0) atomicExch(&wide[2], 7ull);
}

// Results of thread t at t * vote_words.
__global__ void votes_kernel(const int* x, int* results) {
  const int t = threadIdx.x, v = x[t], lane = t % 32;
  const unsigned all = 0xffffffffu;
  int* r = results + t * vote_words;
  r[0] = static_cast<int>(__ballot_sync(all, v > 0));
  r[1] = __any_sync(all, v > 90) != 0;
  r[2] = __all_sync(all, v > -50) != 0;
  r[3] = __shfl_sync(all, v, 5);
  r[4] = __shfl_sync(all, v, 3, 8);
  r[5] = __shfl_up_sync(all, v, 3);
  r[6] = __shfl_up_sync(all, v, 3, 16);
  r[7] = __shfl_down_sync(all, v, 9, 16);
  r[8] = __shfl_xor_sync(all, v, 17);
  r[9] = __shfl_xor_sync(all, v, 9, 8);
  r[10] = static_cast<int>(__reduce_add_sync(all, static_cast<unsigned>(v)));
  r[11] = __reduce_max_sync(all, v);
  r[12] = __reduce_min_sync(all, v);
  r[13] = __syncthreads_count(v > 0);
  r[14] = __syncthreads_or(v > 90) != 0;
  r[15] = __syncthreads_and(v > -50) != 0;
  const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  double wide = v;
  if (lane < 16)
    wide += __shfl_xor_sync(half, wide, 1);
  else
    wide -= __shfl_xor_sync(half, wide, 2);
  __syncwarp();
  r[16] = static_cast<int>(wide);
  r[17] = (__activemask() >> lane) & 1;
}

__global__ void round_bf16_kernel(const float* x, __nv_bfloat16* y, float* back, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] = __float2bfloat16_rn(x[i]);
  back[i] = __bfloat162float(y[i]);
}

__global__ void pairs_bf16_kernel(const float2* x, float2* y, int pairs) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= pairs) return;
  const __nv_bfloat162 low_high = __float22bfloat162_rn(x[i]);
  const __nv_bfloat162 built = __floats2bfloat162_rn(__low2float(low_high), __high2float(low_high));
  y[i] = __bfloat1622float2(built);
}

__global__ void functions_kernel(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float v = __ldg(x + i);
  float s, c;
  sincosf(v, &s, &c);
  float* r = y + i * function_count;
  r[0] = s;
  r[1] = c;
  r[2] = rsqrtf(v);
  r[3] = __expf(v);
  r[4] = __fmaf_rn(v, v, -1.0f);
  r[5] = __fdividef(1.0f, v);
  r[6] = fmaxf(v, max(1.0f, 2.0f)) + static_cast<float>(min(3, 4));
  r[7] = __uint_as_float(__float_as_uint(v) ^ 0x80000000u);
  r[8] = static_cast<float>(__popc(__umulhi(0x80000001u, 0x80000000u)));
  r[9] = __saturatef(v);
}

__global__ void early_exit_kernel(int* counts, int n) {
  const int t = threadIdx.x;
  if (t >= n) return;
  __syncthreads();
  const float sum = __shfl_down_sync(0xffffffffu, 1.0f, 1);
  counts[t] = __syncthreads_count(1) + (sum == 1.0f ? 0 : 1000);
}

__global__ void write_at_kernel(float* x, int64_t index) { x[index] = 1; }
__global__ void read_at_kernel(const float* x, int64_t index, float* y) { *y = x[index]; }
__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < blockDim.x / 2)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void lonely_barrier_kernel() {
  if (threadIdx.x == 0)
    __syncthreads();
  else
    __syncwarp();
}
__global__ void unmet_mask_kernel() {
  if (threadIdx.x < 3) __syncwarp(threadIdx.x == 2 ? 5u : 3u << threadIdx.x);
}
__global__ void foreign_mask_kernel() { __syncwarp(~(1u << threadIdx.x)); }
__global__ void trap_kernel() {
  if (threadIdx.x == 2) __trap();
}
__global__ void overrun_static_kernel(int index) {
  __shared__ volatile int held[10];
  volatile int* p = held;
  p[index] = 1;
}
__global__ void overrun_dynamic_kernel(int index) { dynamic_shared<volatile char>()[index] = 1; }
__global__ void nothing_kernel() {}

unsigned blocks_of(int n) { return (n + 255) / 256; }

}  // namespace

void add(const float* x, const float* y, float* z, int n, cudaStream_t stream) {
  launch(add_kernel, blocks_of(n), 256, 0, stream, x, y, z, n);
}
void block_sum(const float* x, float* sums, int blocks, Fault fault) {
  launch(fault == Fault::none ? block_sum_kernel<Fault::none>
                              : block_sum_kernel<Fault::missing_barrier>,
         blocks, 256, 0, nullptr, x, sums);
}
void pass_round(const int* x, int* y, int blocks, int steps) {
  launch(pass_round_kernel, blocks, 256, 0, nullptr, x, y, steps);
}
void transpose(const float* x, float* y, int rows, int columns) {
  launch(transpose_kernel, dim3((columns + 31) / 32, (rows + 31) / 32), dim3(32, 8), 0, nullptr, x,
         y, rows, columns);
}
void reverse(const int* x, int* y, int n, size_t shared_bytes) {
  launch(reverse_kernel, 1, 128, shared_bytes, nullptr, x, y, n);
}
void order(unsigned* counter, int* ranks, int blocks, int threads) {
  launch(order_kernel, blocks, threads, 0, nullptr, counter, ranks);
}
void atomics(const int* x, int n, int* histogram, int* extremes, float* sum,
             unsigned long long* wide) {
  launch(atomics_kernel, blocks_of(n), 256, 0, nullptr, x, n, histogram, extremes, sum, wide);
}
void votes(const int* x, int* results, int threads) {
  launch(votes_kernel, 1, threads, 0, nullptr, x, results);
}
void round_bf16(const float* x, unsigned short* bits, float* back, int n) {
  launch(round_bf16_kernel, blocks_of(n), 256, 0, nullptr, x,
         reinterpret_cast<__nv_bfloat16*>(bits), back, n);
}
void pairs_bf16(const float* x, float* y, int n) {
  launch(pairs_bf16_kernel, blocks_of(n / 2), 256, 0, nullptr, reinterpret_cast<const float2*>(x),
         reinterpret_cast<float2*>(y), n / 2);
}
void functions(const float* x, float* y, int n) {
  launch(functions_kernel, blocks_of(n), 256, 0, nullptr, x, y, n);
}
void early_exit(int* counts, int n, int threads) {
  launch(early_exit_kernel, 1, threads, 0, nullptr, counts, n);
}
void write_at(float* x, int64_t index) { launch(write_at_kernel, 1, 1, 0, nullptr, x, index); }
void read_at(const float* x, int64_t index, float* y) {
  launch(read_at_kernel, 1, 1, 0, nullptr, x, index, y);
}
void divergent_barrier(int threads) { launch(divergent_barrier_kernel, 3, threads, 0, nullptr); }
void lonely_barrier() { launch(lonely_barrier_kernel, 1, 64, 0, nullptr); }
void unmet_mask() { launch(unmet_mask_kernel, 1, 32, 0, nullptr); }
void foreign_mask() { launch(foreign_mask_kernel, 1, 32, 0, nullptr); }
void trap() { launch(trap_kernel, 2, 4, 0, nullptr); }
void overrun_static(int index) { launch(overrun_static_kernel, 1, 1, 0, nullptr, index); }
void overrun_dynamic(int bytes, int index) {
  launch(overrun_dynamic_kernel, 1, 1, bytes, nullptr, index);
}
void nothing(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream) {
  launch(nothing_kernel, grid, block, shared_bytes, stream);
}
cudaError_t allow_shared(int bytes) {
  return cudaFuncSetAttribute(nothing_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

}  // namespace sinew::test
