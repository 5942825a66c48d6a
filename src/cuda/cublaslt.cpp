// Row-major y = op(a) op(b) as cuBLASLt's column-major y^T = op(b)^T op(a)^T: its A is b, its B is
// a, and a row-major matrix read column-major is its transpose already.
// The algorithm is the first of the library's heuristic, asked once per problem. The heuristic
// reads sizes and types alone, since all operands are aligned alike: a recorded call and the eager
// one before it agree.
#include "cuda/cublaslt.h"

#include <map>
#include <memory>
#include <mutex>

#include "cuda/cublaslt_api.h"
#include "cuda/device.h"
#include "sinew/error.h"
#ifdef SINEW_EMULATE_CUDA
#include "cuda/emulate/cublaslt.h"
#endif

namespace sinew::cuda {
namespace {

#ifdef SINEW_EMULATE_CUDA
constexpr uint64_t workspace_bytes = 64 << 10;
#else
constexpr uint64_t workspace_bytes = 32 << 20;  // NVIDIA's advice for compute capability 9.0
#endif
constexpr uint32_t aligned = 16;  // bytes, all operands (matmul.cpp)

struct Problem {  // what an algorithm is chosen for
  int64_t m, n, k;
  DType dtype, y_dtype;
  bool trans_a, trans_b;
  Tf32 tf32;
  bool bias;
  auto operator<=>(const Problem&) const = default;
};

struct Choice {
  lt::Algorithm algorithm;
  lt::Epilogue epilogue;
};

struct Library {
  lt::Functions f;
  lt::Handle handle = nullptr;
  std::mutex mutex;
  std::map<Problem, Choice> choices;

  Library();
  void check(lt::Status status, const char* call) const {
    if (status != lt::Status::success)
      throw Error(std::string("matmul: cuBLASLt: ") + call + " failed (" + f.status_name(status) +
                  ")");
  }
};

Library::Library() {
#ifdef SINEW_EMULATE_CUDA
  f = emulate::cublaslt();
#else
  f = lt::load(lt::usual_files());
#endif
  check(f.create(&handle), "create");
}

Library& library() {  // of the process; where it throws, the next call tries again
  static Library instance;
  return instance;
}

template <class T>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, lt::Status (*)(T)>;

// The problem in the library's terms.
struct Description {
  const Library& lib;
  Owned<lt::Desc> desc;
  Owned<lt::Layout> a, b, y;

  Description(const Library& library, const Problem& p, lt::Epilogue epilogue, const void* bias);

 private:
  Owned<lt::Layout> layout(DType dtype, int64_t rows, int64_t columns) const;
  template <class T>
  void set(lt::DescAttribute attribute, const T& value) const {
    lib.check(lib.f.desc_set(desc.get(), attribute, &value, sizeof value), "set an attribute");
  }
};

Owned<lt::Layout> Description::layout(DType dtype, int64_t rows, int64_t columns) const {
  lt::Layout made = nullptr;
  lib.check(lib.f.layout_create(&made, dtype == DType::bf16 ? lt::Type::bf16 : lt::Type::f32,
                                static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), rows),
            "make a layout");
  return {made, lib.f.layout_destroy};
}

Description::Description(const Library& library, const Problem& p, lt::Epilogue epilogue,
                         const void* bias)
    : lib(library),
      desc(nullptr, lib.f.desc_destroy),
      a(layout(p.dtype, p.trans_b ? p.k : p.n, p.trans_b ? p.n : p.k)),
      b(layout(p.dtype, p.trans_a ? p.m : p.k, p.trans_a ? p.k : p.m)),
      y(layout(p.y_dtype, p.n, p.m)) {
  const auto compute = p.tf32 == Tf32::on ? lt::Compute::f32_fast_tf32 : lt::Compute::f32;
  lt::Desc made = nullptr;
  lib.check(lib.f.desc_create(&made, compute, lt::Type::f32), "make a descriptor");
  desc.reset(made);
  const auto operation = [](bool trans) {
    return trans ? lt::Operation::transpose : lt::Operation::none;
  };
  set(lt::DescAttribute::transpose_a, operation(p.trans_b));
  set(lt::DescAttribute::transpose_b, operation(p.trans_a));
  set(lt::DescAttribute::epilogue, epilogue);
  if (epilogue == lt::Epilogue::bias) set(lt::DescAttribute::bias, bias);
}

Problem problem_of(const Cuda& device, const MatmulArgs& args) {
  return {args.m,
          args.n,
          args.k,
          args.dtype,
          args.y_dtype,
          args.trans_a,
          args.trans_b,
          args.dtype == DType::f32 ? device.tf32 : Tf32::off,
          args.bias != nullptr};
}

// The heuristic's first algorithm; false if it has none.
bool ask(const Library& lib, const Problem& p, const void* bias, Choice& choice) {
  const Description d(lib, p, choice.epilogue, bias);
  lt::Preference made = nullptr;
  lib.check(lib.f.preference_create(&made), "make a preference");
  const Owned<lt::Preference> preference(made, lib.f.preference_destroy);
  const auto set = [&](lt::PreferenceAttribute attribute, auto value) {
    lib.check(lib.f.preference_set(made, attribute, &value, sizeof value), "set a preference");
  };
  set(lt::PreferenceAttribute::workspace_bytes, workspace_bytes);
  // Parts of a sum are added in f32 and in a step of their own.
  set(lt::PreferenceAttribute::reductions, lt::Reduction::compute_type);
  using Attribute = lt::PreferenceAttribute;
  for (const Attribute which : {Attribute::alignment_a, Attribute::alignment_b,
                                Attribute::alignment_c, Attribute::alignment_d})
    set(which, aligned);
  lt::Heuristic result{};
  int found = 0;
  const lt::Status status = lib.f.heuristic(lib.handle, d.desc.get(), d.a.get(), d.b.get(),
                                            d.y.get(), d.y.get(), made, 1, &result, &found);
  if (status != lt::Status::not_supported) lib.check(status, "choose an algorithm");
  choice.algorithm = result.algorithm;
  return status == lt::Status::success && found > 0 && result.state == lt::Status::success;
}

Choice choose(Library& lib, const Problem& p, const void* bias) {
  const std::lock_guard<std::mutex> lock(lib.mutex);
  const auto known = lib.choices.find(p);
  if (known != lib.choices.end()) return known->second;
  Choice choice{{}, lt::Epilogue::bias};
  if (!p.bias || !ask(lib, p, bias, choice)) {
    choice.epilogue = lt::Epilogue::none;
    if (!ask(lib, p, nullptr, choice))
      throw Error("matmul: cuBLASLt has no algorithm for " + std::to_string(p.m) + " x " +
                  std::to_string(p.n) + " x " + std::to_string(p.k) + " of " + name(p.dtype) +
                  " to " + name(p.y_dtype));
  }
  lib.choices.emplace(p, choice);
  return choice;
}

}  // namespace

BiasAdded product(Cuda& device, const MatmulArgs& args) {
  Library& lib = library();
  if (!device.workspace) device.workspace = allocate(workspace_bytes);
  const Problem p = problem_of(device, args);
  const Choice choice = choose(lib, p, args.bias);
  const Description d(lib, p, choice.epilogue, args.bias);
  const float one = 1, zero = 0;
  lib.check(lib.f.matmul(lib.handle, d.desc.get(), &one, args.b, d.a.get(), args.a, d.b.get(),
                         &zero, args.y, d.y.get(), args.y, d.y.get(), &choice.algorithm,
                         device.workspace, workspace_bytes, device.stream),
            "a product");
  return choice.epilogue == lt::Epilogue::bias ? BiasAdded::yes : BiasAdded::no;
}

}  // namespace sinew::cuda
