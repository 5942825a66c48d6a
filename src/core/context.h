// The per-thread state behind the public functions of device.h, tape.h, random.h and step.h.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/exec.h"
#include "core/pool.h"
#include "sinew/tensor.h"

namespace sinew {

class Tape;

// What a recording Step collects: every kernel call, and the buffers that they use and that are
// not the step's own. On a GPU the calls are in the graph; here they keep what they hold alive.
struct Recorder {
  std::vector<std::function<void()>> calls;
  std::vector<std::shared_ptr<Buffer>> keep;
  std::shared_ptr<Pool> pool;
};

struct Context {
  Context();
  int threads;
  Isa isa;
  Tf32 tf32 = Tf32::off;
  Fusion fusion = Fusion::on;
  std::shared_ptr<Pool> pool;        // of new tensors; a Step puts its own here while it runs
  std::shared_ptr<Pool> own_pool;    // the thread's, on its device
  std::shared_ptr<Pool> other_pool;  // that of the device set before, if any
  std::shared_ptr<Cuda> cuda;        // made by the first set_device(Device::cuda)
  Tape* tape = nullptr;
  Recorder* recorder = nullptr;
  Tensor mask_state;  // random.h: {seed lo, seed hi, counter lo, counter hi}, made at first use
};

Context& context();  // of the calling thread

// The thread's executor and pool on a device, made at first use.
Cuda& cuda_executor();
std::shared_ptr<Pool> pool_of(Device device);

// Sets a member of the context for a scope.
template <class T>
class Scoped {
 public:
  Scoped(T& slot, T value) : slot_(slot), former_(std::move(slot)) { slot_ = std::move(value); }
  ~Scoped() { slot_ = std::move(former_); }
  Scoped(const Scoped&) = delete;
  Scoped& operator=(const Scoped&) = delete;

 private:
  T& slot_;
  T former_;
};

}  // namespace sinew
