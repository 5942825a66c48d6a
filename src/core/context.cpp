// The per-thread context and its public accessors (device.h).
#include "core/context.h"

#include <sched.h>

#include "cuda/device.h"
#include "sinew/error.h"
#include "sinew/random.h"

namespace sinew {
namespace {

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count < 1 ? 1 : count;
}

Isa best_isa() {
  for (Isa level : {Isa::avx512, Isa::avx2})
    if (supports(level)) return level;
  return Isa::generic;
}

}  // namespace

Context::Context()
    : threads(available_processors()),
      isa(best_isa()),
      pool(std::make_shared<Pool>(Device::cpu)),
      own_pool(pool) {}

Context& context() {
  thread_local Context current;
  return current;
}

const char* name(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

const char* name(Isa isa) {
  switch (isa) {
    case Isa::generic: return "generic";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "?";
}

Isa parse_isa(const std::string& text) {
  if (text == "auto") return best_isa();
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512})
    if (text == name(level)) return level;
  throw Error("isa: unknown level (" + text + "; generic, avx2, avx512 or auto)");
}

bool supports(Isa level) {
  switch (level) {
    case Isa::generic: return true;
    case Isa::avx2:
#ifdef SINEW_AVX2
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
      return false;
#endif
    case Isa::avx512:
#ifdef SINEW_AVX512
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512cd");
#else
      return false;
#endif
  }
  return false;
}

Cuda& cuda_executor() {
  Context& c = context();
  if (!c.cuda) c.cuda = cuda::open();
  return *c.cuda;
}

std::shared_ptr<Pool> pool_of(Device device) {
  Context& c = context();
  if (device == c.own_pool->device()) return c.own_pool;
  if (device == Device::cuda) cuda_executor();
  if (!c.other_pool) c.other_pool = std::make_shared<Pool>(device, c.own_pool->guard());
  return c.other_pool;
}

Device device() { return context().own_pool->device(); }

void set_device(Device device) {
  Context& c = context();
  if (device == c.own_pool->device()) return;
  if (c.pool != c.own_pool) throw Error("set_device: not inside a step");
  pool_of(device);
  const bool masks = c.mask_state.defined();
  const std::vector<uint32_t> state = masks ? mask_state() : std::vector<uint32_t>();
  std::swap(c.own_pool, c.other_pool);
  c.pool = c.own_pool;
  c.mask_state = Tensor();
  if (masks) set_mask_state(state);
}

void synchronize() {
  if (context().recorder) throw Error("synchronize: a step is being recorded");
  if (context().cuda) cuda::synchronize(*context().cuda);
}

std::string cuda_fault() { return cuda::fault(); }
CudaInfo cuda_info() { return cuda::info(); }

Tf32 tf32() { return context().tf32; }
void set_tf32(Tf32 setting) { context().tf32 = setting; }

Fusion fusion() { return context().fusion; }
void set_fusion(Fusion setting) { context().fusion = setting; }

int threads() { return context().threads; }

void set_threads(int count) {
  if (count < 1) throw Error("threads: count below 1 (" + std::to_string(count) + ")");
  context().threads = count;
}

Isa isa() { return context().isa; }

void set_isa(Isa level) {
  if (!supports(level))
    throw Error(std::string("isa: not available in this build on this processor (") + name(level) +
                ")");
  context().isa = level;
}

MemoryStats memory() { return context().pool->stats(); }
void reset_memory_high_water() { context().pool->reset_high_water(); }
void release_cached_memory() {
  if (context().recorder) throw Error("release_cached_memory: a step is being recorded");
  context().pool->trim();
}

}  // namespace sinew
