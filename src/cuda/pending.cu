// Kernels that are still to be written for CUDA.
#include "cuda/kernel.h"
#include "ops/norm.h"
#include "ops/sine.h"
#include "ops/softmax.h"

namespace sinew {

#define SINEW_PENDING(name, Args)        \
  template <>                            \
  void name(Cuda&, const Args&) {        \
    cuda_fail(#name, "not yet on cuda"); \
  }
SINEW_PENDING(norm, NormArgs)
SINEW_PENDING(norm_backward, NormBackwardArgs)
SINEW_PENDING(sine_forward, SineForwardArgs)
SINEW_PENDING(sine_backward, SineBackwardArgs)
SINEW_PENDING(softmax, SoftmaxArgs)
SINEW_PENDING(cross_entropy, CrossEntropyArgs)

}  // namespace sinew
