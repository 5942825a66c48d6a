// Kernels that are still to be written for CUDA.
#include "cuda/kernel.h"

namespace sinew {

#define SINEW_PENDING(name, Args)        \
  template <>                            \
  void name(Cuda&, const Args&) {        \
    cuda_fail(#name, "not yet on cuda"); \
  }

}  // namespace sinew
