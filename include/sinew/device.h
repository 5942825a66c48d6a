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
enum class Isa : uint8_t { generic, avx2, avx512 };  // instruction-set level of the CPU kernels

const char* name(Device device);
const char* name(Isa isa);
Isa parse_isa(const std::string& text);  // "generic", "avx2", "avx512", "auto" (the best one here)

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
