// For the .cu files of the sparse layer: tiles of x in shared memory. A tile holds 2 x 16 bytes of
// each input of a window: 8 rows in f32, 16 in bf16, so that one edge is two 16-byte reads and 8 or
// 16 multiply-adds for a thread. The two halves are planes: the 16-byte reads of neighbouring
// threads then touch every bank once. A thread fills one input's place, so that its 16-byte writes
// do too; it reads 4 or 2 bytes of each row, its warp 128 or 64. Costs: docs/performance.md.
#pragma once
#include "cuda/kernel.h"

namespace sinew {
namespace {

constexpr int planes = 2;  // of a tile

// The values of one input in `rows` rows, as 16 bytes.
template <class X>
struct Piece;
template <>
struct Piece<float> {
  static constexpr int rows = 4;
  static __device__ __forceinline__ uint4 pack(const float (&v)[4]) {
    return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]),
                      __float_as_uint(v[3]));
  }
  static __device__ __forceinline__ void unpack(uint4 p, float (&v)[4]) {
    v[0] = __uint_as_float(p.x);
    v[1] = __uint_as_float(p.y);
    v[2] = __uint_as_float(p.z);
    v[3] = __uint_as_float(p.w);
  }
};
template <>
struct Piece<bf16> {  // even rows in the lower halves
  static constexpr int rows = 8;
  static __device__ __forceinline__ unsigned pair(bf16 low, bf16 high) {
    return __bfloat16_as_ushort(low) | unsigned{__bfloat16_as_ushort(high)} << 16;
  }
  static __device__ __forceinline__ uint4 pack(const bf16 (&v)[8]) {
    return make_uint4(pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7]));
  }
  static __device__ __forceinline__ void unpack(uint4 p, float (&v)[8]) {
    const unsigned words[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      v[2 * i] = __uint_as_float(words[i] << 16);
      v[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
  }
};
template <class X>
constexpr int tile_rows = Piece<X>::rows* planes;

template <class X>
struct Rows {  // of x, at most a tile's
  const X* x;
  int n, count;

  __device__ __forceinline__ Rows(const X* all, int n, int64_t row, int64_t end)
      : x(all + row * n),
        n(n),
        count(static_cast<int>(end - row < tile_rows<X> ? end - row : tile_rows<X>)) {}
  __device__ __forceinline__ bool has(int r) const { return r < count; }
  __device__ __forceinline__ const X* at(int r, int i) const { return x + int64_t{r} * n + i; }

  // tile[plane * pitch + i] = input first + i, cyclic; by `threads` threads, this is number `from`.
  __device__ __forceinline__ void to_tile(uint4* tile, int pitch, int first, int count, int from,
                                          int threads) const {
    for (int i = from; i < count; i += threads) {
      const int wrapped = i - (n - first), input = wrapped < 0 ? first + i : wrapped;
#pragma unroll(sizeof(X) == 4 ? planes : 1)  // 8 loads under way
      for (int p = 0; p < planes; ++p) {
        X v[Piece<X>::rows];
#pragma unroll
        for (int r = 0; r < Piece<X>::rows; ++r) {
          const int of_tile = p * Piece<X>::rows + r;
          v[r] = has(of_tile) ? __ldcg(at(of_tile, input)) : Store<X>::from(0.0f);
        }
        tile[p * pitch + i] = Piece<X>::pack(v);
      }
    }
  }
  // Without a tile: input i in the rows of a plane.
  __device__ __forceinline__ void values(int plane, int i, float (&v)[Piece<X>::rows]) const {
    const X* from = at(plane * Piece<X>::rows, i);
#pragma unroll
    for (int r = 0; r < Piece<X>::rows; ++r, from += n)
      v[r] = has(plane * Piece<X>::rows + r) ? widen(*from) : 0.0f;
  }
};

struct Window {
  int first, count;
  __device__ __forceinline__ int place(int source, int n) const {
    return source < first ? source - first + n : source - first;
  }
};

// Lets a kernel have more than 48 KiB of dynamic shared memory. `most` is one number for all
// launches of a kernel, since threads launch at once.
template <class... P>
void allow_shared(void (*kernel)(P...), int64_t bytes, int64_t most) {
  if (bytes > 48 * 1024)
    cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(most)),
               "geo_linear: shared memory");
}

constexpr int sum_warps = 8;

// finish(i, sum over s of sums[s * slice + i]): each warp adds every eighth of the slices, then
// these eight in order.
template <class F>
__global__ void __launch_bounds__(32 * sum_warps)
    add_slices_kernel(const float* sums, int64_t slices, int64_t slice, F finish) {
  __shared__ float of_warp[sum_warps][32];
  const int64_t i = int64_t{blockIdx.x} * 32 + threadIdx.x;
  const bool is = i < slice;
  float sum = 0;
#pragma unroll 4
  for (int64_t s = threadIdx.y; s < slices; s += sum_warps)
    if (is) sum += sums[s * slice + i];
  of_warp[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || !is) return;
  for (int warp = 1; warp < sum_warps; ++warp) sum += of_warp[warp][threadIdx.x];
  finish(i, sum);
}
template <class F>
void add_slices(const Cuda& device, const float* sums, int64_t slices, int64_t slice,
                const F& finish) {
  launch(add_slices_kernel<F>, static_cast<unsigned>((slice + 31) / 32), dim3(32, sum_warps), 0,
         stream_of(device), sums, slices, slice, finish);
}

}  // namespace
}  // namespace sinew
