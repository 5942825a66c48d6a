// Threads for the kernels of one calling thread. Calls item(f, i, thread) for every i < n, on the
// caller (thread 0) and up to `threads` - 1 workers (threads 1 ..), and returns when all are done.
//
// Each participant has a range of its own, so that it meets the same data in kernel after kernel,
// and then takes what others have not begun. The caller waits only for items that a worker has
// begun, never for a worker to be scheduled: on a busy machine it does the work itself. Workers
// look for work for about 50 microseconds before they sleep. Which thread runs an item must not
// matter to its result.
#pragma once
#include <cstdint>

namespace sinew {

using WorkItem = void (*)(const void* f, int64_t i, int thread);
void run_on_workers(int threads, int64_t n, WorkItem item, const void* f);

}  // namespace sinew
