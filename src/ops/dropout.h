// Random masks. A ticket is a copy of the thread's mask state {seed lo, seed hi, counter lo,
// counter hi}, taken while the state's counter moves on; whoever has the ticket can draw the mask
// again.
#pragma once
#include "core/exec.h"

namespace sinew {

struct TicketArgs {
  int32_t* state;
  int32_t* ticket;
  int64_t blocks;  // of four words each, to move on
};
template <class D>
void take_ticket(D& device, const TicketArgs& args);

// y = x / (1 - p) where the decision is to keep, else 0. Decision i covers `inner` neighbours and
// keeps where open_uniform(word i % 4 of philox(counter + i / 4, seed)) >= p.
struct DropoutArgs {
  DType dtype;
  const void* x;
  void* y;
  const int32_t* ticket;
  int64_t decisions, inner;
  double p;
};
template <class D>
void dropout(D& device, const DropoutArgs& args);

}  // namespace sinew
