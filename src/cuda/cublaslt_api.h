// The part of cuBLASLt's C interface that is used, under our names; values and layouts are those of
// cublasLt.h, library_types.h and cublas_api.h of CUDA 13, which cublaslt_check.cpp compares. So a
// build needs neither its headers nor the library, and the emulation offers the same functions.
// NVIDIA, "cuBLAS", chapter "Using the cuBLASLt API".
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sinew::lt {

enum class Status : int {
  success = 0,
  not_initialized = 1,
  invalid_value = 7,
  execution_failed = 13,
  not_supported = 15,
};
enum class Type : int { f32 = 0, bf16 = 14 };
enum class Compute : int { f32 = 68, f32_fast_tf32 = 77 };
enum class Operation : int32_t { none = 0, transpose = 1 };
enum class Epilogue : uint32_t { none = 1, bias = 4 };
enum class DescAttribute : int { transpose_a = 3, transpose_b = 4, epilogue = 7, bias = 8 };
enum class PreferenceAttribute : int {
  workspace_bytes = 1,  // uint64_t
  reductions = 3,       // uint32_t, of Reduction
  alignment_a = 5,      // uint32_t, in bytes
  alignment_b = 6,
  alignment_c = 7,
  alignment_d = 8,
};
// How parts of a sum that were computed apart are added: 0 never, else bits.
enum class Reduction : uint32_t { none = 0, in_place = 1, compute_type = 2, output_type = 4 };

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

using Handle = struct HandleState*;
using Desc = struct DescState*;
using Layout = struct LayoutState*;
using Preference = struct PreferenceState*;

// D = alpha op(A) op(B) + beta C (+ bias, one element per row of D), column-major.
struct Functions {
  Status (*create)(Handle* handle);
  const char* (*status_name)(Status status);
  Status (*desc_create)(Desc* desc, Compute compute, Type scale);
  Status (*desc_destroy)(Desc desc);
  Status (*desc_set)(Desc desc, DescAttribute attribute, const void* value, size_t bytes);
  Status (*layout_create)(Layout* layout, Type type, uint64_t rows, uint64_t columns,
                          int64_t stride);
  Status (*layout_destroy)(Layout layout);
  Status (*preference_create)(Preference* preference);
  Status (*preference_destroy)(Preference preference);
  Status (*preference_set)(Preference preference, PreferenceAttribute attribute, const void* value,
                           size_t bytes);
  Status (*heuristic)(Handle handle, Desc desc, Layout a, Layout b, Layout c, Layout d,
                      Preference preference, int asked, Heuristic* results, int* found);
  Status (*matmul)(Handle handle, Desc desc, const void* alpha, const void* a, Layout a_layout,
                   const void* b, Layout b_layout, const void* beta, const void* c, Layout c_layout,
                   void* d, Layout d_layout, const Algorithm* algorithm, void* workspace,
                   size_t workspace_bytes, void* stream);
};

// The functions of the first of these files (names or paths) that can be loaded. Throws
// Error("matmul: cuBLASLt was not found (...)"), or if it lacks a function.
Functions load(const std::vector<std::string>& files);

// Where NVIDIA's library is looked for: the loader's path, then $CUDA_PATH, $CUDA_HOME and
// /usr/local/cuda.
std::vector<std::string> usual_files();

}  // namespace sinew::lt
