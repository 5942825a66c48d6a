// Emulated CUDA: a kernel's launch, checked against the limits of the device.
#include <algorithm>
#include <cstddef>
#include <map>

#include "cuda/emulate/device.h"
#include "cuda/emulate/grid.h"

namespace sinew::emulate {
namespace {

constexpr size_t default_shared_bytes = 48 * 1024;

std::map<const void*, size_t>& shared_limits() {  // of kernels with cudaFuncSetAttribute
  static std::map<const void*, size_t> limits;
  return limits;
}

std::string text(const dim3& v) {
  return std::to_string(v.x) + " x " + std::to_string(v.y) + " x " + std::to_string(v.z);
}

cudaError_t check_config(const LaunchConfig& config, const void* kernel) {
  const dim3 g = config.grid, b = config.block;
  const bool empty = !g.x || !g.y || !g.z || !b.x || !b.y || !b.z;
  if (empty || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    return fail(cudaErrorInvalidConfiguration, "grid " + text(g) + ", block " + text(b));
  if (b.x > 1024 || b.y > 1024 || b.z > 64 || b.x * b.y * b.z > 1024)
    return fail(cudaErrorInvalidConfiguration, "block " + text(b) + ", at most 1024 threads");
  const auto found = shared_limits().find(kernel);
  const size_t limit = found == shared_limits().end() ? default_shared_bytes : found->second;
  if (config.shared_bytes > limit)
    return fail(cudaErrorInvalidValue, std::to_string(config.shared_bytes) +
                                           " bytes of shared memory, at most " +
                                           std::to_string(limit));
  return cudaSuccess;
}

cudaError_t run(const Kernel& kernel) {
  Memory::Open open(device().memory);
  std::string fact = run_grid(kernel);
  if (!fact.empty()) return fail(cudaErrorLaunchFailure, fact);
  fact = device().memory.verify();
  return fact.empty() ? cudaSuccess : fail(cudaErrorIllegalAddress, fact);
}

}  // namespace

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  Lock lock(device().mutex);
  if (value < 0 || static_cast<size_t>(value) > max_shared_bytes)
    return fail(cudaErrorInvalidValue, std::to_string(value) + " bytes of shared memory, at most " +
                                           std::to_string(max_shared_bytes));
  // 48 KiB are always allowed.
  shared_limits()[kernel] = std::max(default_shared_bytes, static_cast<size_t>(value));
  return cudaSuccess;
}

cudaError_t launch_kernel(const LaunchConfig& config, const void* kernel, Arguments arguments) {
  Lock lock(device().mutex);
  if (const cudaError_t error = check_config(config, kernel)) return error;
  const auto* bytes = static_cast<const std::byte*>(arguments.bytes);
  const std::vector<std::byte> copy(bytes, bytes + arguments.size);
  return submit(config.stream, [=] {
    return run({config.grid, config.block, config.shared_bytes, arguments.invoke, copy.data()});
  });
}

}  // namespace sinew::emulate
