// Emulated device memory: closed to the host, guarded against kernels, copies checked.
#include <doctest/doctest.h>

#include <sys/resource.h>

#include <cmath>

#include "cuda/device_array.h"
#include "cuda/emulate/fiber.h"
#include "cuda/kernels.h"

using namespace sinew;
using namespace sinew::test;

namespace {
std::string text(cudaError_t error) {
  CHECK(cudaGetLastError() == error);
  CHECK(cudaPeekAtLastError() == cudaSuccess);
  return cudaGetErrorString(error);
}
}  // namespace

TEST_CASE("emulated memory: the host cannot read or write it") {
  const DeviceArray<float> x(std::vector<float>(8, 1.0f));
  volatile float* data = x.data();
  CHECK(in_child([&] { (void)data[3]; }).signal == SIGSEGV);
  CHECK(in_child([&] { data[3] = 2; }).signal == SIGSEGV);
  CHECK(x.host() == std::vector<float>(8, 1.0f));
}

TEST_CASE("emulated memory: a kernel's writes beside a block are caught") {
  const DeviceArray<float> x(10);
  const auto caught = [](const End& end, const char* fact) {
    INFO(end.output);
    CHECK((end.signal || end.status));  // under AddressSanitizer it dies at the write
    CHECK((end.says("use-after-poison") || end.says(fact)));
  };
  caught(in_child([&] { write_at(x.data(), 10); }),
         "a block of 40 bytes was written behind its end at byte 0 of the zone");
  caught(in_child([&] { write_at(x.data(), -2); }),
         "bytes was written");  // before its start, or behind the end of a neighbour
  const End fine = in_child([&] { write_at(x.data(), 9); });
  CHECK(fine.signal == 0);
  CHECK(fine.status == 0);
}

TEST_CASE("emulated memory: a freed block is no longer read") {
  float* freed;
  cuda_check(cudaMalloc(&freed, 64), "malloc");
  cuda_check(cudaMemset(freed, 0, 64), "memset");
  cuda_check(cudaFree(freed), "free");
  const End end = in_child([&] {
    const DeviceArray<float> y(1);
    read_at(freed, 3, y.data());
    if (std::isnan(y.host()[0])) throw Error("read NaN");
  });
  CHECK((end.says("use-after-poison") || end.says("read NaN")));
  CHECK(cudaFree(freed) == cudaErrorInvalidValue);
  CHECK(text(cudaErrorInvalidValue) == "invalid argument (free of what is no live block)");
}

TEST_CASE("emulated memory: new blocks and shared memory hold NaN") {
  const DeviceArray<float> x(3);
  for (float v : x.host()) CHECK(std::isnan(v));
}

TEST_CASE("emulated memory: writes beside shared memory are caught") {
  CHECK(in_child([] { overrun_dynamic(64, 63); }).status == 0);
  const End end = in_child([] { overrun_dynamic(64, 64); });
  CHECK((end.signal == SIGSEGV || end.says("use-after-poison")));
  CHECK(in_child([] { overrun_static(9); }).status == 0);
  if (SINEW_ASAN)  // the only guard of static shared memory
    CHECK(in_child([] { overrun_static(10); }).status != 0);
}

TEST_CASE("emulated memory: copies with a wrong kind or beyond a block") {
  const DeviceArray<float> x(10), y(10);
  std::vector<float> host(10);
  const auto copy = [](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpy(to, from, bytes, kind);
  };
  const cudaError_t direction = cudaErrorInvalidMemcpyDirection;
  CHECK(copy(host.data(), x.data(), 40, cudaMemcpyHostToDevice) == direction);
  CHECK(text(direction) == "invalid copy direction for memcpy (destination is not device memory)");
  CHECK(copy(x.data(), host.data(), 40, cudaMemcpyDeviceToDevice) == direction);
  CHECK(text(direction) == "invalid copy direction for memcpy (source is not device memory)");
  CHECK(copy(x.data(), y.data(), 40, cudaMemcpyHostToDevice) == direction);
  CHECK(text(direction) == "invalid copy direction for memcpy (source is device memory)");
  CHECK(copy(x.data(), y.data(), 40, cudaMemcpyDeviceToHost) == direction);
  CHECK(text(direction) == "invalid copy direction for memcpy (destination is device memory)");
  CHECK(copy(x.data(), y.data(), 40, static_cast<cudaMemcpyKind>(7)) == direction);
  CHECK(text(direction) == "invalid copy direction for memcpy (kind 7)");
  CHECK(copy(x.data(), host.data(), 44, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(text(cudaErrorInvalidValue) ==
        "invalid argument (destination: 44 bytes are not within one live block)");
  CHECK(cudaMemset(host.data(), 0, 40) == direction);
  cudaGetLastError();

  CHECK(copy(x.data(), host.data(), 40, cudaMemcpyDefault) == cudaSuccess);
  CHECK(copy(y.data(), x.data(), 40, cudaMemcpyDeviceToDevice) == cudaSuccess);
  CHECK(y.host() == host);
}

TEST_CASE("emulated memory: its size, and what is beyond it") {
  size_t before, after, total;
  cuda_check(cudaMemGetInfo(&before, &total), "info");
  void* block;
  cuda_check(cudaMalloc(&block, 1000), "malloc");
  cuda_check(cudaMemGetInfo(&after, &total), "info");
  CHECK(before - after == 1000);
  cuda_check(cudaFree(block), "free");
  CHECK(cudaMalloc(&block, total + 1) == cudaErrorMemoryAllocation);
  CHECK(block == nullptr);
  CHECK(text(cudaErrorMemoryAllocation).find("out of memory (8589934593 bytes, ") == 0);
  CHECK(cudaMalloc(&block, 0) == cudaSuccess);
  CHECK(block == nullptr);
  for (int i = 0; i < 40; ++i) {  // freed memory comes back
    cuda_check(cudaMalloc(&block, size_t{1} << 20), "malloc");
    cuda_check(cudaFree(block), "free");
  }
  cuda_check(cudaMallocHost(&block, 16), "malloc");
  static_cast<char*>(block)[15] = 1;
  cuda_check(cudaFreeHost(block), "free");
}

TEST_CASE("emulated launches: without memory for a block's threads") {
  if (SINEW_ASAN || SINEW_TSAN) return;  // their own memory would be limited too
  const DeviceArray<int> counts(1024);
  const End end = in_child([&] {
    nothing(1, 1024, 0);  // makes room for all but the stacks
    const rlimit limit{size_t{1} << 20, size_t{1} << 20};
    setrlimit(RLIMIT_AS, &limit);
    early_exit(counts.data(), 1024, 1024);
  });
  INFO(end.output);
  CHECK(end.status == 3);
  CHECK(end.says("no memory for the stacks of its threads"));
}

TEST_CASE("emulated launches: limits of the device") {
  cudaDeviceProp device;
  cuda_check(cudaGetDeviceProperties(&device, 0), "properties");
  CHECK(std::string(device.name) == "emulated");
  CHECK(device.multiProcessorCount == 132);
  CHECK(cudaGetDeviceProperties(&device, 1) == cudaErrorInvalidDevice);
  CHECK(text(cudaErrorInvalidDevice) == "invalid device ordinal (device 1 of 1)");

  nothing(1, 1024, 48 * 1024);
  CHECK_THROWS_WITH_AS(nothing(1, 1025, 0),
                       "launch: invalid configuration argument (block 1025 x 1 x 1, at most 1024 "
                       "threads)",
                       Error);
  CHECK_THROWS_AS(nothing(1, dim3(32, 33), 0), Error);
  CHECK_THROWS_AS(nothing(1, dim3(1, 1, 65), 0), Error);
  CHECK_THROWS_WITH_AS(nothing(0, 32, 0),
                       "launch: invalid configuration argument (grid 0 x 1 x 1, block 32 x 1 x 1)",
                       Error);
  CHECK_THROWS_AS(nothing(dim3(1, 65536), 32, 0), Error);
  CHECK_THROWS_WITH_AS(nothing(1, 32, 48 * 1024 + 1),
                       "launch: invalid argument (49153 bytes of shared memory, at most 49152)",
                       Error);
  CHECK(cudaPeekAtLastError() == cudaSuccess);

  CHECK(allow_shared(227 * 1024 + 1) == cudaErrorInvalidValue);
  CHECK(text(cudaErrorInvalidValue) ==
        "invalid argument (232449 bytes of shared memory, at most 232448)");
  CHECK(allow_shared(227 * 1024) == cudaSuccess);
  nothing(1, 32, 227 * 1024);
  CHECK_THROWS_AS(nothing(1, 32, 227 * 1024 + 1), Error);
}
