// The GPU as the library sees it, without CUDA's headers: device.cpp implements it on the CUDA
// runtime, none.cpp for a build without CUDA. Every failure is an Error.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "core/exec.h"

namespace sinew::cuda {

std::string fault();  // why no GPU can be used, in one line; empty if one can
CudaInfo info();
std::shared_ptr<Cuda> open();  // a stream of its own; throws if there is a fault

void* allocate(size_t bytes);  // 256-byte aligned; null if there is no more
void release(void* block) noexcept;
void fill(Cuda& device, void* to, int byte, size_t bytes);
void upload(Cuda& device, void* to, const void* from, size_t bytes);    // `from` may change after
void download(Cuda& device, void* to, const void* from, size_t bytes);  // waits
void synchronize(Cuda& device);
void wait(Cuda& device) noexcept;  // the same; a failure shows at the next call

// Everything put into the device's stream between construction and end(), to be put there again.
class Graph {
 public:
  explicit Graph(Cuda& device);  // begins the capture
  ~Graph();                      // ends it if end() was not called
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void end();
  void launch(Cuda& device) const;

 private:
  Cuda& capturing_;
  bool ended_ = false;
  void* exec_ = nullptr;  // cudaGraphExec_t
};

}  // namespace sinew::cuda
