// The GPU through the CUDA runtime: memory, copies, streams, graphs. The runtime is linked
// statically and loads the driver at the first call, so a program that never asks for the GPU
// starts as fast as one without CUDA.
#include "cuda/device.h"

#include "cuda/cuda.h"
#include "sinew/error.h"

namespace sinew::cuda {
namespace {

cudaStream_t stream_of(const Cuda& device) { return static_cast<cudaStream_t>(device.stream); }

void require_usable() {
  if (const std::string why = fault(); !why.empty()) throw Error("cuda: " + why);
}

void copy(Cuda& device, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  cuda_check(cudaMemcpyAsync(to, from, bytes, kind, stream_of(device)), "cuda: copy");
}

}  // namespace

std::string fault() {
  int count = 0, driver = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return "";
  cudaGetLastError();
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
    return "no NVIDIA driver was found";
  return status == cudaSuccess ? "no GPU was found" : cudaGetErrorString(status);
}

CudaInfo info() {
  require_usable();
  int device = 0;
  cudaDeviceProp p;
  CudaInfo out;
  cuda_check(cudaGetDevice(&device), "cuda: device");
  cuda_check(cudaGetDeviceProperties(&p, device), "cuda: properties");
  cuda_check(cudaRuntimeGetVersion(&out.runtime), "cuda: version");
  cuda_check(cudaDriverGetVersion(&out.driver), "cuda: version");
  out.name = p.name;
  out.major = p.major;
  out.minor = p.minor;
  out.multiprocessors = p.multiProcessorCount;
  out.memory = static_cast<int64_t>(p.totalGlobalMem);
  out.shared_memory = static_cast<int64_t>(p.sharedMemPerBlockOptin);
  return out;
}

std::shared_ptr<Cuda> open() {
  require_usable();
  cudaStream_t stream;
  cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cuda: stream");
  return {new Cuda{stream, Tf32::off}, [](Cuda* device) {
            release(device->workspace);
            cudaStreamDestroy(stream_of(*device));
            delete device;
          }};
}

void* allocate(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  cuda_check(status, "cuda: malloc");
  return block;
}

void release(void* block) noexcept { cudaFree(block); }

void fill(Cuda& device, void* to, int byte, size_t bytes) {
  cuda_check(cudaMemsetAsync(to, byte, bytes, stream_of(device)), "cuda: fill");
}

// Small ones the runtime copies to a buffer of its own before it returns.
void upload(Cuda& device, void* to, const void* from, size_t bytes) {
  copy(device, to, from, bytes, cudaMemcpyHostToDevice);
  if (bytes > size_t{64} << 10) synchronize(device);
}

void download(Cuda& device, void* to, const void* from, size_t bytes) {
  copy(device, to, from, bytes, cudaMemcpyDeviceToHost);
  synchronize(device);
}

void wait(Cuda& device) noexcept { cudaStreamSynchronize(stream_of(device)); }

void synchronize(Cuda& device) {
  cuda_check(cudaStreamSynchronize(stream_of(device)), "cuda: synchronize");
}

// Relaxed: while recording, the pool may ask the system for memory.
Graph::Graph(Cuda& device) : capturing_(device) {
  cuda_check(cudaStreamBeginCapture(stream_of(device), cudaStreamCaptureModeRelaxed),
             "cuda: capture");
}

Graph::~Graph() {
  cudaGraph_t graph = nullptr;
  if (!ended_ && cudaStreamEndCapture(stream_of(capturing_), &graph) == cudaSuccess && graph)
    cudaGraphDestroy(graph);
  if (exec_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(exec_));
}

void Graph::end() {
  cudaGraph_t graph = nullptr;
  ended_ = true;
  cuda_check(cudaStreamEndCapture(stream_of(capturing_), &graph), "cuda: capture");
  cudaGraphExec_t exec = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  cuda_check(status, "cuda: capture");
  exec_ = exec;
}

void Graph::launch(Cuda& device) const {
  cuda_check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(exec_), stream_of(device)),
             "cuda: graph launch");
}

}  // namespace sinew::cuda
