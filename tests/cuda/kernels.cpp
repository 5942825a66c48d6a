#include "cuda/kernels.cu"
