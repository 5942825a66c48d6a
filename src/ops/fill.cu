// y[i] = value. One element per thread.
#include "ops/fill.h"

#include "cuda/kernel.h"
#include "ops/convert.h"

namespace sinew {
namespace {

template <class T>
struct Fill {
  T* y;
  T value;
  __device__ void operator()(int64_t i) const { y[i] = value; }
};

template <class T>
void fill_with(const Cuda& device, const FillArgs& a, T value) {
  for_each(device, a.n, Fill<T>{static_cast<T*>(a.y), value});
}

}  // namespace

template <>
void fill(Cuda& device, const FillArgs& args) {
  switch (args.dtype) {
    case DType::f32: return fill_with(device, args, static_cast<float>(args.value));
    case DType::f64: return fill_with(device, args, args.value);
    case DType::i32: return fill_with(device, args, static_cast<int32_t>(args.value));
    case DType::u8: return fill_with(device, args, static_cast<uint8_t>(args.value));
    case DType::bf16: return fill_with(device, args, Narrow<Bf16>::from(args.value));
  }
}

}  // namespace sinew
