// Emulated streams, events, capture and replay.
#include <doctest/doctest.h>

#include <thread>

#include "cuda/device_array.h"
#include "cuda/kernels.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Capture {
  cudaStream_t stream = nullptr;
  explicit Capture(cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal) {
    cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    cuda_check(cudaStreamBeginCapture(stream, mode), "capture");
  }
  ~Capture() { cudaStreamDestroy(stream); }
  cudaError_t end() const {
    cudaGraph_t graph;
    const cudaError_t error = cudaStreamEndCapture(stream, &graph);
    if (!error) cudaGraphDestroy(graph);
    return error;
  }
};

}  // namespace

TEST_CASE("emulated graph: a replay reads the present contents") {
  const DeviceArray<float> x(std::vector<float>(40, 1)), y(std::vector<float>(40, 2)), z(40), w(40);
  std::vector<float> host(40, -1);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  {
    const Capture capture;
    const size_t bytes = 40 * sizeof(float);
    add(x.data(), y.data(), z.data(), 40, capture.stream);
    cuda_check(cudaMemcpyAsync(w.data(), z.data(), bytes, cudaMemcpyDeviceToDevice, capture.stream),
               "copy");
    cuda_check(cudaMemsetAsync(z.data(), 0, bytes, capture.stream), "memset");
    cuda_check(
        cudaMemcpyAsync(host.data(), w.data(), bytes, cudaMemcpyDeviceToHost, capture.stream),
        "copy");
    cudaStreamCaptureStatus status;
    cuda_check(cudaStreamIsCapturing(capture.stream, &status), "status");
    CHECK(status == cudaStreamCaptureStatusActive);
    cuda_check(cudaStreamEndCapture(capture.stream, &graph), "end");
  }
  CHECK(host == std::vector<float>(40, -1));  // nothing ran
  cuda_check(cudaGraphInstantiate(&exec, graph), "instantiate");
  cuda_check(cudaGraphDestroy(graph), "destroy");
  for (float value : {1.0f, 5.0f, 7.0f}) {
    const_cast<DeviceArray<float>&>(x).set(std::vector<float>(40, value));
    cuda_check(cudaGraphLaunch(exec, nullptr), "replay");
    CHECK(host == std::vector<float>(40, value + 2));
    CHECK(z.host() == std::vector<float>(40, 0));
  }
  cuda_check(cudaGraphExecDestroy(exec), "destroy");
}

TEST_CASE("emulated graph: what a capture forbids fails and spoils it") {
  const DeviceArray<float> x(4);
  std::vector<float> host(4);
  const auto spoils = [&](auto call) {
    const Capture capture;
    CHECK(call(capture.stream) == cudaErrorStreamCaptureUnsupported);
    cudaStreamCaptureStatus status;
    cuda_check(cudaStreamIsCapturing(capture.stream, &status), "status");
    CHECK(status == cudaStreamCaptureStatusInvalidated);
    CHECK(cudaMemsetAsync(x.data(), 0, 4, capture.stream) == cudaErrorStreamCaptureInvalidated);
    CHECK(capture.end() == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaMemset(x.data(), 0, 16) == cudaSuccess);  // the capture is over
  };
  void* block = nullptr;
  spoils(
      [&](cudaStream_t) { return cudaMemcpy(host.data(), x.data(), 16, cudaMemcpyDeviceToHost); });
  spoils([&](cudaStream_t) { return cudaMemset(x.data(), 0, 16); });
  spoils([&](cudaStream_t) { return cudaMalloc(&block, 16); });
  spoils([&](cudaStream_t) { return cudaMallocHost(&block, 16); });
  spoils([&](cudaStream_t) { return cudaFree(x.data()); });
  spoils([&](cudaStream_t) { return cudaDeviceSynchronize(); });
  spoils([&](cudaStream_t stream) { return cudaStreamSynchronize(stream); });
  spoils([&](cudaStream_t stream) { return cudaStreamQuery(stream); });
  spoils([&](cudaStream_t stream) { return cudaMallocAsync(&block, 16, stream); });
  spoils([&](cudaStream_t stream) { return cudaFreeAsync(x.data(), stream); });
  CHECK(x.host() == std::vector<float>(4));

  const Capture capture;
  const std::string expected =
      "copy: operation not permitted when stream is capturing (cudaMemcpy)";
  CHECK_THROWS_WITH_AS((void)x.host(), expected.c_str(), Error);
}

TEST_CASE("emulated graph: modes, the default stream, misuse") {
  const DeviceArray<float> x(4);
  {
    const Capture capture(cudaStreamCaptureModeRelaxed);
    CHECK(cudaMemset(x.data(), 0, 16) == cudaSuccess);
    CHECK(cudaStreamBeginCapture(capture.stream, cudaStreamCaptureModeRelaxed) ==
          cudaErrorIllegalState);
    CHECK(capture.end() == cudaSuccess);
    CHECK(capture.end() == cudaErrorIllegalState);
  }
  cudaStream_t blocking;
  cuda_check(cudaStreamCreate(&blocking), "stream");
  cuda_check(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed), "capture");
  CHECK(cudaMemsetAsync(x.data(), 0, 16) == cudaErrorStreamCaptureImplicit);
  CHECK_THROWS_AS(nothing(1, 1, 0), Error);
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(blocking, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(graph == nullptr);

  cuda_check(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeThreadLocal), "capture");
  cudaError_t elsewhere = cudaSuccess;
  std::thread([&] { elsewhere = cudaMemset(x.data(), 0, 16); }).join();
  CHECK(elsewhere == cudaErrorStreamCaptureImplicit);  // blocking, whatever the mode
  std::thread([&] { elsewhere = cudaStreamEndCapture(blocking, &graph); }).join();
  CHECK(elsewhere == cudaErrorStreamCaptureWrongThread);
  CHECK(cudaStreamEndCapture(blocking, &graph) == cudaErrorStreamCaptureInvalidated);

  cudaEvent_t event;
  cuda_check(cudaEventCreate(&event), "event");
  cuda_check(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal), "capture");
  CHECK(cudaGraphLaunch(nullptr, blocking) == cudaErrorInvalidValue);
  cuda_check(cudaEventRecord(event, blocking), "record");
  CHECK(cudaStreamWaitEvent(blocking, event) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(nullptr, event) == cudaErrorNotSupported);
  CHECK(cudaEventSynchronize(event) == cudaErrorCapturedEvent);
  cuda_check(cudaStreamEndCapture(blocking, &graph), "end");
  cuda_check(cudaGraphDestroy(graph), "destroy");
  cuda_check(cudaEventDestroy(event), "event");
  cuda_check(cudaStreamDestroy(blocking), "stream");

  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed) ==
        cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamDestroy(nullptr) == cudaErrorInvalidResourceHandle);
  cudaGetLastError();
}

TEST_CASE("emulated graph: a kernel's failure is the replay's") {
  float* x;
  cuda_check(cudaMalloc(&x, 16), "malloc");
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  {
    const Capture capture;
    cuda_check(cudaMemsetAsync(x, 0, 16, capture.stream), "memset");
    cuda_check(cudaStreamEndCapture(capture.stream, &graph), "end");
  }
  cuda_check(cudaGraphInstantiate(&exec, graph), "instantiate");
  CHECK(cudaGraphLaunch(exec, nullptr) == cudaSuccess);
  cuda_check(cudaFree(x), "free");
  CHECK(cudaGraphLaunch(exec, nullptr) == cudaErrorInvalidValue);
  cudaGetLastError();
  cuda_check(cudaGraphDestroy(graph), "destroy");
  cuda_check(cudaGraphExecDestroy(exec), "destroy");
}

TEST_CASE("emulated streams, events and graphs: null and unknown arguments") {
  const auto says = [](cudaError_t error, const char* text) {
    CHECK(cudaGetLastError() == error);
    CHECK(cudaGetErrorString(error) == std::string(text));
  };
  cudaStream_t stream;
  cudaGraphExec_t exec;
  float time;
  says(cudaStreamCreateWithFlags(&stream, 2), "invalid argument (flags of a stream)");
  says(cudaStreamDestroy(nullptr), "invalid resource handle (the default stream stays)");
  says(cudaEventRecord(nullptr), "invalid resource handle (no event)");
  says(cudaEventSynchronize(nullptr), "invalid resource handle (no event)");
  says(cudaEventDestroy(nullptr), "invalid resource handle (no event)");
  says(cudaStreamWaitEvent(nullptr, nullptr), "invalid resource handle (no event)");
  says(cudaEventElapsedTime(&time, nullptr, nullptr),
       "invalid resource handle (an event without a time)");
  says(cudaGraphInstantiate(&exec, nullptr), "invalid argument (no graph)");
  says(cudaGraphLaunch(nullptr, nullptr), "invalid argument (no graph)");
  says(cudaGraphDestroy(nullptr), "invalid argument (no graph)");
  says(cudaGraphExecDestroy(nullptr), "invalid argument (no graph)");
  says(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed),
       "operation not permitted when stream is capturing (the default stream)");
  CHECK(cudaGetErrorString(cudaSuccess) == std::string("no error"));
}

TEST_CASE("emulated events: order and time") {
  cudaStream_t stream;
  cudaEvent_t start, end, timeless;
  cuda_check(cudaStreamCreate(&stream), "stream");
  cuda_check(cudaEventCreate(&start), "event");
  cuda_check(cudaEventCreate(&end), "event");
  cuda_check(cudaEventCreateWithFlags(&timeless, cudaEventDisableTiming), "event");
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorInvalidResourceHandle);
  cuda_check(cudaEventRecord(start, stream), "record");
  nothing(100, 256, 0, stream);
  cuda_check(cudaEventRecord(end, stream), "record");
  cuda_check(cudaEventRecord(timeless, stream), "record");
  cuda_check(cudaStreamWaitEvent(stream, end), "wait");
  cuda_check(cudaEventSynchronize(end), "wait");
  cuda_check(cudaStreamSynchronize(stream), "wait");
  cuda_check(cudaEventElapsedTime(&milliseconds, start, end), "time");
  CHECK(milliseconds > 0);
  CHECK(milliseconds < 60000);
  CHECK(cudaEventElapsedTime(&milliseconds, start, timeless) == cudaErrorInvalidResourceHandle);
  for (cudaEvent_t event : {start, end, timeless}) cuda_check(cudaEventDestroy(event), "event");
  cuda_check(cudaStreamDestroy(stream), "stream");
  cudaGetLastError();
}
