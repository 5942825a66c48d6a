// Emulated CUDA: cuBLASLt's descriptors, heuristic and product.
#include "cuda/emulate/cublaslt.h"

#include <algorithm>
#include <cstring>

#include "cuda/emulate/bf16.h"
#include "cuda/emulate/device.h"

namespace sinew::lt {

struct HandleState {};
struct DescState {
  Compute compute;
  Operation a = Operation::none, b = Operation::none;
  Epilogue epilogue = Epilogue::none;
  const void* bias = nullptr;
};
struct LayoutState {
  Type type;
  uint64_t rows, columns;
  int64_t stride;
};
struct PreferenceState {
  uint64_t workspace_bytes = 0;
  uint32_t reductions = 7;
  uint32_t alignments[4] = {256, 256, 256, 256};  // of a, b, c, d
};

}  // namespace sinew::lt

namespace sinew::emulate {

using namespace lt;

namespace {

thread_local std::string refusal;

Status refuse(const std::string& fact, Status status = Status::invalid_value) {
  refusal = fact;
  return status;
}

struct Problem {
  DescState desc;
  LayoutState a, b, c, d;
};

size_t bytes_of(Type type) { return type == Type::bf16 ? 2 : 4; }
size_t extent(const LayoutState& m) {  // from the first element to the end of the last
  return ((m.columns - 1) * static_cast<uint64_t>(m.stride) + m.rows) * bytes_of(m.type);
}
uint64_t inner(const Problem& p) { return p.desc.a == Operation::none ? p.a.columns : p.a.rows; }

// What is wrong with the problem itself, or nothing.
std::string fault_of(const Problem& p) {
  const auto rows = [](const LayoutState& m, Operation op) {
    return op == Operation::none ? m.rows : m.columns;
  };
  const auto columns = [](const LayoutState& m, Operation op) {
    return op == Operation::none ? m.columns : m.rows;
  };
  for (const LayoutState* m : {&p.a, &p.b, &p.c, &p.d}) {
    if (m->rows == 0 || m->columns == 0) return "an empty matrix";
    if (m->stride < static_cast<int64_t>(m->rows)) return "a leading dimension below the rows";
  }
  if (columns(p.a, p.desc.a) != rows(p.b, p.desc.b)) return "inner sizes differ";
  if (rows(p.a, p.desc.a) != p.d.rows || columns(p.b, p.desc.b) != p.d.columns)
    return "d is not of the product's size";
  if (std::memcmp(&p.c, &p.d, sizeof p.c)) return "c and d differ";
  if (p.a.type != p.b.type) return "types of a and b differ";
  if (p.a.type == Type::f32 && p.d.type != Type::f32) return "f32 factors give f32";
  if (p.a.type == Type::bf16 && p.desc.compute != Compute::f32)
    return "bf16 factors compute in f32";
  if (p.desc.epilogue == Epilogue::bias && !p.desc.bias) return "a bias epilogue without a bias";
  return "";
}

// Equal for equal problems, whatever the pointers. data[1..5]: alignments and workspace.
uint64_t fingerprint(const Problem& p) {
  uint64_t hash = 1469598103934665603u;
  const auto mix = [&](auto value) {
    hash = (hash ^ static_cast<uint64_t>(value)) * 1099511628211u;
  };
  mix(p.desc.compute);
  mix(p.desc.a);
  mix(p.desc.b);
  mix(p.desc.epilogue);
  for (const LayoutState* m : {&p.a, &p.b, &p.d}) {
    mix(m->type);
    mix(m->rows);
    mix(m->columns);
    mix(m->stride);
  }
  return hash;
}

Status create(Handle* handle) {
  static HandleState one;
  *handle = &one;
  return Status::success;
}
const char* status_name(Status status) {
  switch (status) {
    case Status::success: return "CUBLAS_STATUS_SUCCESS";
    case Status::not_initialized: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case Status::invalid_value: return "CUBLAS_STATUS_INVALID_VALUE";
    case Status::execution_failed: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case Status::not_supported: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "CUBLAS_STATUS_?";
}

template <class T>
Status destroy(T* state) {
  delete state;
  return Status::success;
}
template <class T>
Status set(T& member, const void* value, size_t bytes) {
  if (bytes != sizeof member) return refuse("an attribute of the wrong size");
  std::memcpy(&member, value, bytes);
  return Status::success;
}

Status desc_create(Desc* desc, Compute compute, Type scale) {
  if (scale != Type::f32) return refuse("scale is not f32");
  *desc = new DescState{compute};
  return Status::success;
}
Status desc_set(Desc desc, DescAttribute attribute, const void* value, size_t bytes) {
  switch (attribute) {
    case DescAttribute::transpose_a: return set(desc->a, value, bytes);
    case DescAttribute::transpose_b: return set(desc->b, value, bytes);
    case DescAttribute::epilogue: return set(desc->epilogue, value, bytes);
    case DescAttribute::bias: return set(desc->bias, value, bytes);
  }
  return refuse("an unknown attribute");
}
Status layout_create(Layout* layout, Type type, uint64_t rows, uint64_t columns, int64_t stride) {
  *layout = new LayoutState{type, rows, columns, stride};
  return Status::success;
}
Status preference_create(Preference* preference) {
  *preference = new PreferenceState;
  return Status::success;
}
Status preference_set(Preference p, PreferenceAttribute attribute, const void* value,
                      size_t bytes) {
  switch (attribute) {
    case PreferenceAttribute::workspace_bytes: return set(p->workspace_bytes, value, bytes);
    case PreferenceAttribute::reductions: return set(p->reductions, value, bytes);
    case PreferenceAttribute::alignment_a: return set(p->alignments[0], value, bytes);
    case PreferenceAttribute::alignment_b: return set(p->alignments[1], value, bytes);
    case PreferenceAttribute::alignment_c: return set(p->alignments[2], value, bytes);
    case PreferenceAttribute::alignment_d: return set(p->alignments[3], value, bytes);
  }
  return refuse("an unknown preference");
}

Status heuristic(Handle, Desc desc, Layout a, Layout b, Layout c, Layout d, Preference preference,
                 int asked, Heuristic* results, int* found) {
  *found = 0;
  if (asked < 1) return refuse("no algorithm is asked for");
  const Problem p{*desc, *a, *b, *c, *d};
  if (const std::string fault = fault_of(p); !fault.empty()) return refuse(fault);
  const bool bias = desc->epilogue == Epilogue::bias;
  if (bias && reinterpret_cast<uintptr_t>(desc->bias) % 16)
    return refuse("a bias that is not aligned to 16 bytes");
  const size_t workspace = inner(p) >= 64 ? 4096 : 0;  // as for parts of a long sum
  if ((bias && d->rows == 1) || workspace > preference->workspace_bytes)
    return refuse("no algorithm", Status::not_supported);
  *results = {{{fingerprint(p)}}, workspace, Status::success, 1, {}};
  for (int i = 0; i < 4; ++i) results->algorithm.data[1 + i] = preference->alignments[i];
  results->algorithm.data[5] = workspace;
  *found = 1;
  return Status::success;
}

struct Call {
  Problem problem;
  const char *a, *b, *bias;
  char *d, *workspace;
  size_t workspace_bytes;  // that the algorithm uses
};

bool apart(const char* x, size_t x_bytes, const char* y, size_t y_bytes) {
  return x + x_bytes <= y || y + y_bytes <= x;
}

// What is wrong with the call's memory, or nothing.
std::string fault_of(const Call& call) {
  const Problem& p = call.problem;
  const Memory& memory = device().memory;
  const size_t a = extent(p.a), b = extent(p.b), d = extent(p.d);
  const size_t bias = call.bias ? p.d.rows * bytes_of(p.d.type) : 0;
  if (!memory.holds_block(call.a, a)) return "a is not in device memory";
  if (!memory.holds_block(call.b, b)) return "b is not in device memory";
  if (!memory.holds_block(call.d, d)) return "d is not in device memory";
  if (bias && !memory.holds_block(call.bias, bias)) return "bias is not in device memory";
  if (call.workspace_bytes && !memory.holds_block(call.workspace, call.workspace_bytes))
    return "the workspace is not in device memory";
  if (!apart(call.d, d, call.a, a) || !apart(call.d, d, call.b, b) ||
      (bias && !apart(call.d, d, call.bias, bias)) ||
      (call.workspace_bytes && !apart(call.d, d, call.workspace, call.workspace_bytes)))
    return "d overlaps an operand";
  return "";
}

float load(const char* p, Type type, size_t i) {
  if (type == Type::f32) return reinterpret_cast<const float*>(p)[i];
  return static_cast<float>(reinterpret_cast<const __nv_bfloat16*>(p)[i]);
}
void store(char* p, Type type, size_t i, float value) {
  if (type == Type::f32)
    reinterpret_cast<float*>(p)[i] = value;
  else
    reinterpret_cast<__nv_bfloat16*>(p)[i] = __nv_bfloat16(value);
}
float to_tf32(float x) {  // nearest even; infinities and NaN as they are
  uint32_t word;
  std::memcpy(&word, &x, 4);
  if ((word & 0x7f800000u) != 0x7f800000u) word = (word + 0xfffu + (word >> 13 & 1)) & ~0x1fffu;
  std::memcpy(&x, &word, 4);
  return x;
}

// op(m), column-major and dense, as the multipliers see it.
std::vector<float> factor(const char* data, const LayoutState& m, Operation op, Compute compute) {
  std::vector<float> out(m.rows * m.columns);
  for (uint64_t j = 0; j < m.columns; ++j)
    for (uint64_t i = 0; i < m.rows; ++i) {
      const float x = load(data, m.type, j * static_cast<uint64_t>(m.stride) + i);
      out[op == Operation::none ? j * m.rows + i : i * m.columns + j] =
          compute == Compute::f32_fast_tf32 ? to_tf32(x) : x;
    }
  return out;
}

cudaError_t multiply(const Call& call) {
  if (const std::string fault = fault_of(call); !fault.empty())
    return fail(cudaErrorIllegalAddress, "cublasLtMatmul: " + fault);
  Memory::Open open(device().memory);
  const Problem& p = call.problem;
  const uint64_t rows = p.d.rows, k = inner(p);
  const std::vector<float> a = factor(call.a, p.a, p.desc.a, p.desc.compute);
  const std::vector<float> b = factor(call.b, p.b, p.desc.b, p.desc.compute);
  std::memset(call.workspace, 0xff, call.workspace_bytes);
  std::vector<float> sums(rows);
  for (uint64_t j = 0; j < p.d.columns; ++j) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (uint64_t l = 0; l < k; ++l)
      for (uint64_t i = 0; i < rows; ++i) sums[i] += a[l * rows + i] * b[j * k + l];
    for (uint64_t i = 0; i < rows; ++i)
      store(call.d, p.d.type, j * static_cast<uint64_t>(p.d.stride) + i,
            sums[i] + (call.bias ? load(call.bias, p.d.type, i) : 0.0f));
  }
  return cudaSuccess;
}

Status matmul(Handle, Desc desc, const void* alpha, const void* a, Layout a_layout, const void* b,
              Layout b_layout, const void* beta, const void* c, Layout c_layout, void* d,
              Layout d_layout, const Algorithm* algorithm, void* workspace, size_t workspace_bytes,
              void* stream) {
  const Problem p{*desc, *a_layout, *b_layout, *c_layout, *d_layout};
  if (const std::string fault = fault_of(p); !fault.empty()) return refuse(fault);
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0)
    return refuse("alpha 1 and beta 0 only are emulated", Status::not_supported);
  if (algorithm->data[0] != fingerprint(p)) return refuse("an algorithm of another problem");
  const void* operands[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i)
    if (reinterpret_cast<uintptr_t>(operands[i]) % algorithm->data[1 + i])
      return refuse("an operand is less aligned than promised");
  if (algorithm->data[5] > workspace_bytes) return refuse("the workspace is too small");
  if (reinterpret_cast<uintptr_t>(workspace) % 256) return refuse("the workspace is not aligned");
  const bool bias = desc->epilogue == Epilogue::bias;
  const Call call{p,
                  static_cast<const char*>(a),
                  static_cast<const char*>(b),
                  bias ? static_cast<const char*>(desc->bias) : nullptr,
                  static_cast<char*>(d),
                  static_cast<char*>(workspace),
                  algorithm->data[5]};
  Lock lock(device().mutex);
  if (const std::string fault = fault_of(call); !fault.empty()) return refuse(fault);
  if (submit(static_cast<cudaStream_t>(stream), [call] { return multiply(call); }))
    return refuse("the stream's work failed", Status::execution_failed);
  return Status::success;
}

}  // namespace

const std::string& cublaslt_refusal() { return refusal; }

Functions cublaslt() {
  return {create,
          status_name,
          desc_create,
          destroy<DescState>,
          desc_set,
          layout_create,
          destroy<LayoutState>,
          preference_create,
          destroy<PreferenceState>,
          preference_set,
          heuristic,
          matmul};
}

}  // namespace sinew::emulate
