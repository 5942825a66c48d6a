// What a kernel sees: the executor it runs on. A kernel family declares in its x.h
//     template <class D> void name(D& device, const NameArgs& args);
// and each executor defines its own specialisation: x.cpu.cpp for `Cpu` (compiled once per
// instruction-set level, which is a template tag, so no two levels share a symbol), x.cu for Cuda.
// Plain data only: this header is read by nvcc too.
#pragma once
#include "sinew/device.h"
#include "sinew/dtype.h"

namespace sinew {

template <Isa level>
struct CpuAt {
  int threads;  // at most so many; results do not depend on it
};

#ifdef SINEW_LEVEL  // set by the build for *.cpu.cpp: generic, avx2 or avx512
using Cpu = CpuAt<Isa::SINEW_LEVEL>;
#endif

// Kernels are put into the stream and not waited for.
struct Cuda {
  void* stream;               // cudaStream_t
  Tf32 tf32;                  // of matrix products
  void* workspace = nullptr;  // of matrix products, made by the first
};

}  // namespace sinew
