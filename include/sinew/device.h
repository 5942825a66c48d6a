// Where and how the calling thread computes.
//
// Thread safety: device, instruction set, thread count, memory pool, active tape and the mask
// generator belong to a context that every thread has for itself, so trainings in different threads
// of one process do not touch each other. A Tensor may be handed to another thread (its reference
// count is atomic), but two threads must not write to the same tensor, module, tape or Step at
// once.
#pragma once
#include <cstdint>
#include <string>

namespace sinew {

enum class Device : uint8_t { cpu, cuda };
enum class Tf32 : uint8_t { off, on };
enum class Fusion : uint8_t { off, on };
enum class Isa : uint8_t { generic, avx2, avx512 };  // instruction-set level of the CPU kernels

const char* name(Device device);
const char* name(Isa isa);
Isa parse_isa(const std::string& text);  // "generic", "avx2", "avx512", "auto" (the best one here)

// The device of the calling thread: new tensors lie there and ops run there; an op that meets a
// tensor of another device throws. Set it before building a network. Default: cpu. The stream of
// masks (random.h) goes on where it was. Throws inside a Step, and for cuda where it is unusable.
//
//     set_device(cuda_fault().empty() ? Device::cuda : Device::cpu);
//
// Work on a GPU is put into a stream of the thread's own and not waited for, but where values come
// back to the host (Tensor::host, item, value). A tensor that is handed to another thread needs
// synchronize() before.
Device device();
void set_device(Device device);
void synchronize();        // waits until the thread's work on the GPU is done
std::string cuda_fault();  // why cuda cannot be used, in one line; empty if it can

struct CudaInfo {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t memory = 0;           // bytes
  int64_t shared_memory = 0;    // bytes that a block of threads may have
  int runtime = 0, driver = 0;  // CUDA versions, as 13000 for 13.0
};
CudaInfo cuda_info();  // of the GPU that is used; throws where there is a fault

// Matrix products of f32 on cuda may round their inputs to TF32 (10 bits of fraction), several
// times faster. Default: off. A recorded Step keeps what was set when it was recorded.
Tf32 tf32();
void set_tf32(Tf32 setting);

// Whether networks use fused ops where there is one for all of a block (geo_blocks). Default: on;
// off composes the same function of single ops. A recorded Step keeps what was set.
Fusion fusion();
void set_fusion(Fusion setting);

int threads();                // default: the processors this process may use
void set_threads(int count);  // throws if count < 1
Isa isa();                    // default: the best level that this processor and this build have
void set_isa(Isa level);      // throws if the processor or the build lacks it
bool supports(Isa level);

// Results are the same bits for any thread count; they may differ between instruction-set levels.

struct MemoryStats {
  int64_t in_use = 0;      // bytes handed out now
  int64_t high_water = 0;  // most bytes ever handed out at once
  int64_t reserved = 0;    // bytes held from the system, in use or cached
};
MemoryStats memory();  // of this thread's pool
void reset_memory_high_water();
void release_cached_memory();  // back to the system; throws while a Step records

}  // namespace sinew
