// Strided copy: thread i moves element i of the sizes, row-major; contiguous ones are the runtime's
// copy. Cast: one element per thread, by the rules of ops/convert.h.
#include "ops/copy.h"

#include "cuda/kernel.h"
#include "ops/convert.h"

namespace sinew {
namespace {

template <class T>
struct Move {
  CopyArgs a;
  __device__ void operator()(int64_t i) const {
    int64_t from = 0, to = 0;
    for (int d = a.rank - 1; d >= 0; --d) {
      const int64_t size = a.sizes[d], at = d == 0 ? i : i % size;
      if (d > 0) i /= size;
      from += at * a.x_strides[d];
      to += at * a.y_strides[d];
    }
    static_cast<T*>(a.y)[to] = static_cast<const T*>(a.x)[from];
  }
};

template <class From, class To>
struct Convert {
  const From* x;
  To* y;
  __device__ void operator()(int64_t i) const { y[i] = Narrow<To>::from(widened(x[i])); }
};

template <class From>
void cast_from(const Cuda& device, const CastArgs& a) {
  const From* x = static_cast<const From*>(a.x);
  switch (a.y_type) {
    case DType::f32:
      return for_each(device, a.n, Convert<From, float>{x, static_cast<float*>(a.y)});
    case DType::f64:
      return for_each(device, a.n, Convert<From, double>{x, static_cast<double*>(a.y)});
    case DType::bf16: return for_each(device, a.n, Convert<From, Bf16>{x, static_cast<Bf16*>(a.y)});
    case DType::i32:
      return for_each(device, a.n, Convert<From, int32_t>{x, static_cast<int32_t*>(a.y)});
    case DType::u8:
      return for_each(device, a.n, Convert<From, uint8_t>{x, static_cast<uint8_t*>(a.y)});
  }
}

}  // namespace

template <>
void copy(Cuda& device, const CopyArgs& a) {
  int64_t n = 1;
  for (int d = 0; d < a.rank; ++d) n *= a.sizes[d];
  if (n == 0) return;
  if (a.rank == 0 || (a.rank == 1 && a.x_strides[0] == 1 && a.y_strides[0] == 1)) {
    const size_t bytes = static_cast<size_t>(n * a.element_size);
    return cuda_check(cudaMemcpyAsync(a.y, a.x, bytes, cudaMemcpyDeviceToDevice, stream_of(device)),
                      "copy");
  }
  switch (a.element_size) {
    case 1: return for_each(device, n, Move<uint8_t>{a});
    case 2: return for_each(device, n, Move<uint16_t>{a});
    case 4: return for_each(device, n, Move<uint32_t>{a});
    default: return for_each(device, n, Move<uint64_t>{a});
  }
}

template <>
void cast(Cuda& device, const CastArgs& args) {
  switch (args.x_type) {
    case DType::f32: return cast_from<float>(device, args);
    case DType::f64: return cast_from<double>(device, args);
    case DType::bf16: return cast_from<Bf16>(device, args);
    case DType::i32: return cast_from<int32_t>(device, args);
    case DType::u8: return cast_from<uint8_t>(device, args);
  }
}

}  // namespace sinew
