// Threads for the kernels of one calling thread. `run` calls item(f, i) for every i < n, on the
// caller and up to `threads` - 1 workers, and returns when all are done.
//
// Each participant has a range of its own, so that it meets the same data in kernel after kernel,
// and then takes what others have not begun. The caller waits only for items that a worker has
// begun, never for a worker to be scheduled: on a busy machine it does the work itself. Workers
// look for work for about 50 microseconds before they sleep. Which thread runs an item must not
// matter to its result.
#pragma once
#include <cstdint>

namespace sinew {

void run_on_workers(int threads, int64_t n, void (*item)(const void* f, int64_t i), const void* f);

}  // namespace sinew
