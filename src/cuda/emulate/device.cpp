// Emulated CUDA: errors, the made-up device, device memory, copies and fills.
#include "cuda/emulate/device.h"

#include <cstdlib>
#include <cstring>
#include <utility>

namespace sinew::emulate {
namespace {

struct LastError {
  cudaError_t error = cudaSuccess;  // until cudaGetLastError
  cudaError_t noted = cudaSuccess;
  std::string text;  // of `noted`
};
thread_local LastError last;

const char* text_of(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidMemcpyDirection: return "invalid copy direction for memcpy";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorIllegalState: return "the operation cannot be performed in the present state";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorNotSupported: return "operation not supported";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureImplicit:
      return "operation would make the default stream depend on a capturing blocking stream";
    case cudaErrorCapturedEvent:
      return "operation not permitted on an event last recorded in a capturing stream";
    case cudaErrorStreamCaptureWrongThread:
      return "attempt to end a thread-local capture from another thread";
  }
  return "unrecognized error code";
}

}  // namespace

Device& device() {
  static Device instance;
  return instance;
}

int64_t host_waits() {
  Lock lock(device().mutex);
  return device().waits;
}

cudaError_t fail(cudaError_t error, const std::string& fact) {
  last = {error, error, std::string(text_of(error)) + " (" + fact + ")"};
  return error;
}

const char* cudaGetErrorString(cudaError_t error) {
  return error != cudaSuccess && error == last.noted ? last.text.c_str() : text_of(error);
}
cudaError_t cudaGetLastError() { return std::exchange(last.error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last.error; }

namespace {
cudaError_t check_device(int ordinal) {
  if (ordinal == 0) return cudaSuccess;
  return fail(cudaErrorInvalidDevice, "device " + std::to_string(ordinal) + " of 1");
}
}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* ordinal) {
  *ordinal = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int ordinal) { return check_device(ordinal); }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal) {
  if (const cudaError_t error = check_device(ordinal)) return error;
  *properties = {};
  std::strcpy(properties->name, "emulated");
  properties->major = 9;
  properties->minor = 0;
  properties->multiProcessorCount = 132;
  properties->warpSize = 32;
  properties->totalGlobalMem = Memory::size;
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = 227 * 1024;
  properties->sharedMemPerMultiprocessor = 228 * 1024;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 0x7fffffff;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->regsPerBlock = 65536;
  properties->l2CacheSize = 50 << 20;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Lock lock(device().mutex);
  *free = Memory::size - device().memory.in_use();
  *total = Memory::size;
  return cudaSuccess;
}

namespace {
cudaError_t allocate(void** block, size_t bytes) {
  *block = nullptr;
  if (bytes == 0) return cudaSuccess;
  *block = device().memory.allocate(bytes);
  if (*block) return cudaSuccess;
  return fail(cudaErrorMemoryAllocation, std::to_string(bytes) + " bytes, " +
                                             std::to_string(device().memory.in_use()) +
                                             " in use of " + std::to_string(Memory::size));
}
cudaError_t release(void* block) {
  if (!block || device().memory.release(block)) return cudaSuccess;
  return fail(cudaErrorInvalidValue, "free of what is no live block");
}
}  // namespace

cudaError_t cudaMalloc(void** block, size_t bytes) {
  Lock lock(device().mutex);
  ++device().waits;
  if (const cudaError_t error = forbidden_by_capture("cudaMalloc")) return error;
  return allocate(block, bytes);
}
cudaError_t cudaFree(void* block) {
  Lock lock(device().mutex);
  ++device().waits;
  if (const cudaError_t error = forbidden_by_capture("cudaFree")) return error;
  return release(block);
}
cudaError_t cudaMallocAsync(void** block, size_t bytes, cudaStream_t stream) {
  Lock lock(device().mutex);
  if (const cudaError_t error = needs_no_capture(stream, "cudaMallocAsync")) return error;
  return allocate(block, bytes);
}
cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  Lock lock(device().mutex);
  if (const cudaError_t error = needs_no_capture(stream, "cudaFreeAsync")) return error;
  return release(block);
}
cudaError_t cudaMallocHost(void** block, size_t bytes) {
  Lock lock(device().mutex);
  if (const cudaError_t error = forbidden_by_capture("cudaMallocHost")) return error;
  *block = std::malloc(bytes);
  return *block ? cudaSuccess : fail(cudaErrorMemoryAllocation, "of the host");
}
cudaError_t cudaFreeHost(void* block) {
  std::free(block);
  return cudaSuccess;
}

namespace {

cudaError_t check_end(const char* end, const void* pointer, size_t bytes, bool on_device) {
  const Memory& memory = device().memory;
  if (memory.holds(pointer) != on_device)
    return fail(cudaErrorInvalidMemcpyDirection,
                std::string(end) + (on_device ? " is not device memory" : " is device memory"));
  if (on_device && !memory.holds_block(pointer, bytes))
    return fail(cudaErrorInvalidValue, std::string(end) + ": " + std::to_string(bytes) +
                                           " bytes are not within one live block");
  return cudaSuccess;
}

cudaError_t check_copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
    return fail(cudaErrorInvalidMemcpyDirection, "kind " + std::to_string(kind));
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault) {
    to_device = device().memory.holds(to);
    from_device = device().memory.holds(from);
  }
  if (const cudaError_t error = check_end("destination", to, bytes, to_device)) return error;
  return check_end("source", from, bytes, from_device);
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_copy(to, from, bytes, kind)) return error;
  return submit(stream, [=] {
    if (const cudaError_t error = check_copy(to, from, bytes, kind)) return error;
    Memory::Open open(device().memory);
    std::memmove(to, from, bytes);
    return cudaSuccess;
  });
}

cudaError_t fill(void* to, int byte, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_end("destination", to, bytes, true)) return error;
  return submit(stream, [=] {
    if (const cudaError_t error = check_end("destination", to, bytes, true)) return error;
    Memory::Open open(device().memory);
    std::memset(to, byte, bytes);
    return cudaSuccess;
  });
}

}  // namespace

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  Lock lock(device().mutex);
  ++device().waits;
  if (const cudaError_t error = forbidden_by_capture("cudaMemcpy")) return error;
  return copy(to, from, bytes, kind, nullptr);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Lock lock(device().mutex);
  if (kind != cudaMemcpyDeviceToDevice) ++device().waits;
  return copy(to, from, bytes, kind, stream);
}
cudaError_t cudaMemset(void* to, int byte, size_t bytes) {
  Lock lock(device().mutex);
  if (const cudaError_t error = forbidden_by_capture("cudaMemset")) return error;
  return fill(to, byte, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  Lock lock(device().mutex);
  return fill(to, byte, bytes, stream);
}

}  // namespace sinew::emulate
