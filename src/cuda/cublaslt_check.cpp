// Compares cublaslt_api.h with NVIDIA's headers where a build has them. No code.
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#include "cuda/cublaslt_api.h"

namespace sinew::lt {
namespace {

template <class Ours, class Theirs>
constexpr bool equal(Ours ours, Theirs theirs) {
  return sizeof(Ours) == sizeof(Theirs) && static_cast<int64_t>(ours) == int64_t{theirs};
}
static_assert(equal(Status::success, CUBLAS_STATUS_SUCCESS));
static_assert(equal(Status::not_initialized, CUBLAS_STATUS_NOT_INITIALIZED));
static_assert(equal(Status::invalid_value, CUBLAS_STATUS_INVALID_VALUE));
static_assert(equal(Status::execution_failed, CUBLAS_STATUS_EXECUTION_FAILED));
static_assert(equal(Status::not_supported, CUBLAS_STATUS_NOT_SUPPORTED));
static_assert(equal(Type::f32, CUDA_R_32F));
static_assert(equal(Type::bf16, CUDA_R_16BF));
static_assert(equal(Compute::f32, CUBLAS_COMPUTE_32F));
static_assert(equal(Compute::f32_fast_tf32, CUBLAS_COMPUTE_32F_FAST_TF32));
static_assert(equal(Operation::none, CUBLAS_OP_N));
static_assert(equal(Operation::transpose, CUBLAS_OP_T));
static_assert(equal(Epilogue::none, CUBLASLT_EPILOGUE_DEFAULT));
static_assert(equal(Epilogue::bias, CUBLASLT_EPILOGUE_BIAS));
static_assert(equal(DescAttribute::transpose_a, CUBLASLT_MATMUL_DESC_TRANSA));
static_assert(equal(DescAttribute::transpose_b, CUBLASLT_MATMUL_DESC_TRANSB));
static_assert(equal(DescAttribute::epilogue, CUBLASLT_MATMUL_DESC_EPILOGUE));
static_assert(equal(DescAttribute::bias, CUBLASLT_MATMUL_DESC_BIAS_POINTER));
static_assert(equal(PreferenceAttribute::workspace_bytes,
                    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES));
static_assert(equal(PreferenceAttribute::reductions, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK));
static_assert(equal(PreferenceAttribute::alignment_a, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES));
static_assert(equal(PreferenceAttribute::alignment_b, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES));
static_assert(equal(PreferenceAttribute::alignment_c, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES));
static_assert(equal(PreferenceAttribute::alignment_d, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));
static_assert(equal(Reduction::none, CUBLASLT_REDUCTION_SCHEME_NONE));
static_assert(equal(Reduction::in_place, CUBLASLT_REDUCTION_SCHEME_INPLACE));
static_assert(equal(Reduction::compute_type, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
static_assert(equal(Reduction::output_type, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE));

using Theirs = cublasLtMatmulHeuristicResult_t;
static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(Heuristic) == sizeof(Theirs));
static_assert(offsetof(Heuristic, workspace_bytes) == offsetof(Theirs, workspaceSize));
static_assert(offsetof(Heuristic, state) == offsetof(Theirs, state));

// Number and sizes of parameters.
template <class R, class... P, class S, class... Q>
constexpr bool alike(R (*)(P...), S (*)(Q...)) {
  if constexpr (sizeof...(P) == sizeof...(Q))
    return sizeof(R) == sizeof(S) && ((sizeof(P) == sizeof(Q)) && ...);
  return false;
}
#define SINEW_ALIKE(ours, theirs) \
  static_assert(alike(decltype(Functions::ours){}, decltype(&theirs){}))
SINEW_ALIKE(create, cublasLtCreate);
SINEW_ALIKE(status_name, cublasLtGetStatusName);
SINEW_ALIKE(desc_create, cublasLtMatmulDescCreate);
SINEW_ALIKE(desc_destroy, cublasLtMatmulDescDestroy);
SINEW_ALIKE(desc_set, cublasLtMatmulDescSetAttribute);
SINEW_ALIKE(layout_create, cublasLtMatrixLayoutCreate);
SINEW_ALIKE(layout_destroy, cublasLtMatrixLayoutDestroy);
SINEW_ALIKE(preference_create, cublasLtMatmulPreferenceCreate);
SINEW_ALIKE(preference_destroy, cublasLtMatmulPreferenceDestroy);
SINEW_ALIKE(preference_set, cublasLtMatmulPreferenceSetAttribute);
SINEW_ALIKE(heuristic, cublasLtMatmulAlgoGetHeuristic);
SINEW_ALIKE(matmul, cublasLtMatmul);
#undef SINEW_ALIKE

}  // namespace
}  // namespace sinew::lt
#endif
