// Products by cuBLASLt. A kernel of one thread per element adds the bias where the library did not:
// to a product whose epilogue it refused, or to the zeros of an empty inner axis.
#include "ops/matmul.h"

#include "cuda/cublaslt.h"
#include "cuda/kernel.h"

namespace sinew {
namespace {

template <class T>
struct AddBias {
  T* y;
  const T* bias;
  int64_t n;
  __device__ void operator()(int64_t i) const {
    y[i] = Store<T>::from(widen(y[i]) + widen(bias[i % n]));
  }
};

}  // namespace

template <>
void matmul(Cuda& device, const MatmulArgs& args) {
  const int64_t size = args.m * args.n;
  if (size == 0) return;
  cuda::BiasAdded added = cuda::BiasAdded::no;
  if (args.k > 0)
    added = cuda::product(device, args);
  else
    cuda_check(cudaMemsetAsync(args.y, 0, static_cast<size_t>(size * size_of(args.y_dtype)),
                               stream_of(device)),
               "matmul");
  if (!args.bias || added == cuda::BiasAdded::yes) return;
  by_storage_type(args.y_dtype, [&](auto storage) {
    using T = decltype(storage);
    for_each(device, size,
             AddBias<T>{static_cast<T*>(args.y), static_cast<const T*>(args.bias), args.n});
  });
}

}  // namespace sinew
