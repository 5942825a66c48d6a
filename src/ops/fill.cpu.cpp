// y[i] = value. One piece of 16k elements per task.
#include "ops/fill.h"

#include "core/parallel.h"
#include "ops/convert.h"

namespace sinew {
namespace {

template <class T>
void fill_with(Cpu& device, const FillArgs& args, T value) {
  T* y = static_cast<T*>(args.y);
  parallel_pieces(device, args.n, 16384, 1, [=](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i) y[i] = value;
  });
}

}  // namespace

template <>
void fill(Cpu& device, const FillArgs& args) {
  switch (args.dtype) {
    case DType::f32: return fill_with(device, args, static_cast<float>(args.value));
    case DType::f64: return fill_with(device, args, args.value);
    case DType::i32: return fill_with(device, args, static_cast<int32_t>(args.value));
    case DType::u8: return fill_with(device, args, static_cast<uint8_t>(args.value));
    case DType::bf16: return fill_with(device, args, Narrow<Bf16>::from(args.value));
  }
}

}  // namespace sinew
