// A build without CUDA.
#include "cuda/device.h"
#include "sinew/error.h"

namespace sinew::cuda {
namespace {

[[noreturn]] void none() { throw Error("cuda: " + fault()); }

}  // namespace

std::string fault() { return "this build has no CUDA"; }
CudaInfo info() { none(); }
std::shared_ptr<Cuda> open() { none(); }

void* allocate(size_t) { none(); }
void release(void*) noexcept {}
void fill(Cuda&, void*, int, size_t) { none(); }
void upload(Cuda&, void*, const void*, size_t) { none(); }
void download(Cuda&, void*, const void*, size_t) { none(); }
void synchronize(Cuda&) { none(); }
void wait(Cuda&) noexcept {}

Graph::Graph(Cuda& device) : capturing_(device) { none(); }
Graph::~Graph() = default;
void Graph::end() { none(); }
void Graph::launch(Cuda&) const { none(); }

}  // namespace sinew::cuda
