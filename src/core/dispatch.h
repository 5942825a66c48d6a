// How an op reaches its kernel: `on(y, [=](auto& device) { kernel(device, args); })`.
// This is the whole dispatch. The closure holds plain pointers and sizes; a recording Step keeps it
// and calls it again at each replay.
#pragma once
#include "core/context.h"
#include "core/exec.h"
#include "sinew/error.h"

namespace sinew {

struct TensorAccess {
  static const std::shared_ptr<Buffer>& buffer(const Tensor& t) { return t.buffer_; }
  static void* data(const Tensor& t) {
    return static_cast<char*>(t.buffer_->data) + t.offset_ * size_of(t.dtype_);
  }
};

// The first element, for a kernel on the thread's device. A recording keeps alive what is not from
// its own pool.
inline void* pointer(const Tensor& t) {
  if (!t.defined()) return nullptr;
  if (t.device() != device())
    throw Error("device: a tensor " + t.shape().str() + " is on " + name(t.device()) +
                ", this thread computes on " + name(device()));
  if (Recorder* recorder = context().recorder) {
    const auto& buffer = TensorAccess::buffer(t);
    if (buffer->pool != recorder->pool) recorder->keep.push_back(buffer);
  }
  return TensorAccess::data(t);
}

template <class F>
void run_on_cpu(Isa isa, int threads, const F& call) {
  switch (isa) {
#ifdef SINEW_AVX512
    case Isa::avx512: {
      CpuAt<Isa::avx512> device{threads};
      return call(device);
    }
#endif
#ifdef SINEW_AVX2
    case Isa::avx2: {
      CpuAt<Isa::avx2> device{threads};
      return call(device);
    }
#endif
    default: {
      CpuAt<Isa::generic> device{threads};
      return call(device);
    }
  }
}

template <class F>
void on(const Tensor&, F call) {
  const Context& c = context();
#ifdef SINEW_CUDA
  if (device() == Device::cuda) {
    c.cuda->tf32 = c.tf32;
    call(*c.cuda);
    if (c.recorder)  // the graph uses the executor's workspace too
      c.recorder->calls.emplace_back([call, executor = c.cuda] { (void)call, (void)executor; });
    return;
  }
#endif
  run_on_cpu(c.isa, c.threads, call);
  if (c.recorder)
    c.recorder->calls.emplace_back(
        [call, isa = c.isa, threads = c.threads] { run_on_cpu(isa, threads, call); });
}

// Checks shared by the ops.
inline void require(bool ok, const char* op, const char* fact) {
  if (!ok) throw Error(std::string(op) + ": " + fact);
}
inline void require(bool ok, const char* op, const std::string& fact) {
  require(ok, op, fact.c_str());
}
inline void require_defined(const char* op, const Tensor& t) {
  if (!t.defined()) throw Error(std::string(op) + ": tensor is undefined");
}
inline void require_real(const char* op, const Tensor& t) {  // f32, and f64 or bf16
  require_defined(op, t);
  const bool cuda = t.device() == Device::cuda;
  if (t.dtype() != DType::f32 && t.dtype() != (cuda ? DType::bf16 : DType::f64))
    throw Error(std::string(op) + ": needs f32 or " + (cuda ? "bf16 on cuda (" : "f64 (") +
                name(t.dtype()) + ")");
}
// The type of sums, statistics and parameters beside activations of `dtype`.
inline DType arithmetic(DType dtype) { return dtype == DType::f64 ? dtype : DType::f32; }
inline void require_parameter(const char* op, const Tensor& x, const Tensor& parameter) {
  require_defined(op, parameter);
  const DType needed = arithmetic(x.dtype());
  if (parameter.dtype() != needed)
    throw Error(std::string(op) + ": a parameter is not " + name(needed) + " (" +
                name(parameter.dtype()) + ")");
}
inline void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    throw Error(std::string(op) + ": dtypes differ (" + name(a.dtype()) + ", " + name(b.dtype()) +
                ")");
}

}  // namespace sinew
