// Emulated CUDA: streams, events, capture and replay. A captured stream keeps its work as closures;
// a graph is their list, a replay calls them in order.
#include <algorithm>
#include <chrono>

#include "cuda/emulate/device.h"

namespace sinew::emulate {

struct Event {
  unsigned flags = 0;
  enum { never, recorded, captured } state = never;
  std::chrono::steady_clock::time_point time;
};

namespace {

cudaError_t spoil(Stream& stream, cudaError_t error, const std::string& fact) {
  stream.status = cudaStreamCaptureStatusInvalidated;
  return fail(error, fact);
}

bool captures(cudaStream_t stream) {
  return stream && stream->status != cudaStreamCaptureStatusNone;
}

// The default stream waits for every stream that is not cudaStreamNonBlocking.
cudaError_t default_stream_waits() {
  for (Stream* s : device().capturing)
    if (!(s->flags & cudaStreamNonBlocking))
      return spoil(*s, cudaErrorStreamCaptureImplicit, "work in the default stream");
  return cudaSuccess;
}

}  // namespace

cudaError_t forbidden_by_capture(const char* call) {
  cudaError_t error = cudaSuccess;
  for (Stream* s : device().capturing)
    if (s->mode == cudaStreamCaptureModeGlobal ||
        (s->mode == cudaStreamCaptureModeThreadLocal && s->thread == std::this_thread::get_id()))
      error = spoil(*s, cudaErrorStreamCaptureUnsupported, call);
  return error;
}

cudaError_t needs_no_capture(cudaStream_t stream, const char* call) {
  if (captures(stream)) return spoil(*stream, cudaErrorStreamCaptureUnsupported, call);
  return stream ? cudaSuccess : default_stream_waits();
}

cudaError_t submit(cudaStream_t stream, Work work) {
  if (!captures(stream)) {
    const cudaError_t error = stream ? cudaSuccess : default_stream_waits();
    return error ? error : work();
  }
  if (stream->status == cudaStreamCaptureStatusInvalidated)
    return fail(cudaErrorStreamCaptureInvalidated, "work in a spoilt capture");
  stream->captured.work.push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags > cudaStreamNonBlocking) return fail(cudaErrorInvalidValue, "flags of a stream");
  *stream = new Stream;
  (*stream)->flags = flags;
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!stream) return fail(cudaErrorInvalidResourceHandle, "the default stream stays");
  Lock lock(device().mutex);
  std::erase(device().capturing, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Lock lock(device().mutex);
  ++device().waits;
  return needs_no_capture(stream, "cudaStreamSynchronize");
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  Lock lock(device().mutex);
  return needs_no_capture(stream, "cudaStreamQuery");
}
cudaError_t cudaDeviceSynchronize() {
  Lock lock(device().mutex);
  ++device().waits;
  cudaError_t error = cudaSuccess;
  for (Stream* s : device().capturing)
    error = spoil(*s, cudaErrorStreamCaptureUnsupported, "cudaDeviceSynchronize");
  return error;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Lock lock(device().mutex);
  if (!event) return fail(cudaErrorInvalidResourceHandle, "no event");
  if ((event->state == Event::captured) != captures(stream))
    return fail(cudaErrorNotSupported, "capture of several streams is not emulated");
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new Event;
  (*event)->flags = flags;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (!event) return fail(cudaErrorInvalidResourceHandle, "no event");
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Lock lock(device().mutex);
  if (!event) return fail(cudaErrorInvalidResourceHandle, "no event");
  if (const cudaError_t error = submit(stream, [] { return cudaSuccess; })) return error;
  event->state = captures(stream) ? Event::captured : Event::recorded;
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  Lock lock(device().mutex);
  if (!event) return fail(cudaErrorInvalidResourceHandle, "no event");
  if (event->state == Event::captured) return fail(cudaErrorCapturedEvent, "waiting for it");
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  {
    Lock lock(device().mutex);
    ++device().waits;
  }
  return cudaEventQuery(event);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  Lock lock(device().mutex);
  for (const Event* event : {start, end}) {
    if (!event || event->state == Event::never || event->flags & cudaEventDisableTiming)
      return fail(cudaErrorInvalidResourceHandle, "an event without a time");
    if (event->state == Event::captured) return fail(cudaErrorCapturedEvent, "its time");
  }
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  Lock lock(device().mutex);
  if (!stream) return fail(cudaErrorStreamCaptureUnsupported, "the default stream");
  if (captures(stream)) return fail(cudaErrorIllegalState, "the stream is captured already");
  stream->status = cudaStreamCaptureStatusActive;
  stream->mode = mode;
  stream->thread = std::this_thread::get_id();
  device().capturing.push_back(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Lock lock(device().mutex);
  *graph = nullptr;
  if (!captures(stream)) return fail(cudaErrorIllegalState, "the stream is not captured");
  if (stream->mode != cudaStreamCaptureModeRelaxed && stream->thread != std::this_thread::get_id())
    return spoil(*stream, cudaErrorStreamCaptureWrongThread, "cudaStreamEndCapture");
  const bool spoilt = stream->status == cudaStreamCaptureStatusInvalidated;
  Graph captured = std::exchange(stream->captured, {});
  stream->status = cudaStreamCaptureStatusNone;
  std::erase(device().capturing, stream);
  if (spoilt) return fail(cudaErrorStreamCaptureInvalidated, "no graph");
  *graph = new Graph(std::move(captured));
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Lock lock(device().mutex);
  *status = stream ? stream->status : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, uint64_t) {
  if (!graph) return fail(cudaErrorInvalidValue, "no graph");
  *exec = new Graph(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  Lock lock(device().mutex);
  if (!exec) return fail(cudaErrorInvalidValue, "no graph");
  if (const cudaError_t error = needs_no_capture(stream, "cudaGraphLaunch")) return error;
  Memory::Open open(device().memory);
  for (const Work& work : exec->work)
    if (const cudaError_t error = work()) return error;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!graph) return fail(cudaErrorInvalidValue, "no graph");
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  if (!exec) return fail(cudaErrorInvalidValue, "no graph");
  delete exec;
  return cudaSuccess;
}

}  // namespace sinew::emulate
