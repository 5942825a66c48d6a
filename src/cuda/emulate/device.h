// What the files of the emulated runtime share: one device, one lock, the stream's state.
#pragma once
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cuda/emulate/memory.h"
#include "cuda/emulate/runtime.h"

namespace sinew::emulate {

using Work = std::function<cudaError_t()>;

struct Graph {
  std::vector<Work> work;
};

struct Stream {
  unsigned flags = 0;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;  // that captures
  Graph captured;
};

struct Device {
  std::mutex mutex;  // held by every call that touches the device
  Memory memory;
  std::vector<Stream*> capturing;
  int64_t waits = 0;  // host_waits()
};
Device& device();
using Lock = std::lock_guard<std::mutex>;

// Notes an error of the calling thread for cudaGetLastError and cudaGetErrorString.
cudaError_t fail(cudaError_t error, const std::string& fact);

// Runs the work now, or keeps it where the stream is captured. With the lock held.
cudaError_t submit(cudaStream_t stream, Work work);

// An error where `call` is forbidden by a capture, which it spoils. With the lock held.
cudaError_t forbidden_by_capture(const char* call);

// An error where `stream` is captured, or is the default stream that would wait for one that is.
cudaError_t needs_no_capture(cudaStream_t stream, const char* call);

}  // namespace sinew::emulate
