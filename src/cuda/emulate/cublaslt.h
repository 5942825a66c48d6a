// Emulated CUDA: what of cuBLASLt cublaslt_api.h names, computed on the CPU as work of the stream.
// Checked more strictly than NVIDIA's: sizes, leading dimensions and types by its table; algorithms
// are tied to the problem and the alignments that they were chosen for; all of every operand lies
// in live device memory and y apart from the others; the workspace is as large as the algorithm
// asked for and loses its contents. The bias epilogue is refused where D has one row, so that
// callers are ready for a refusal. TF32 rounds factors to 10 bits of fraction; sums are in f32 in
// the order of k.
#pragma once
#include <string>

#include "cuda/cublaslt_api.h"

namespace sinew::emulate {

lt::Functions cublaslt();
const std::string& cublaslt_refusal();  // why the calling thread's last failed call failed

}  // namespace sinew::emulate
