// Matrix products on the GPU by cuBLASLt, which is loaded at the first one.
#pragma once
#include "ops/matmul.h"

namespace sinew::cuda {

enum class BiasAdded : uint8_t { no, yes };

// Puts y = op(a) op(b), if possible + bias, into the stream; m, n, k > 0. f32, on tensor cores with
// TF32 if the executor says so, or bf16, with sums in f32. The same problem runs the same algorithm
// throughout the process, none of which adds in an order that can vary.
BiasAdded product(Cuda& device, const MatmulArgs& args);

}  // namespace sinew::cuda
