// y = x mask / (1 - p), one decision per element (dropout) or per index of the leading axis
// (drop_path). Srivastava et al., JMLR 15 (2014); Huang et al., ECCV 2016.
// Saved: the ticket, 16 bytes, from which the backward draws the same mask again; dx = dy mask /
// (1 - p) is the same op, hence any order. The state is moved on by a kernel, so that a replayed
// step draws new masks.
#include "ops/dropout.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

Tensor take_ticket(int64_t decisions) {
  if (!context().mask_state.defined()) seed_masks(0);
  const Tensor &state = context().mask_state, ticket({4}, DType::i32);
  const TicketArgs args{static_cast<int32_t*>(pointer(state)),
                        static_cast<int32_t*>(pointer(ticket)), (decisions + 3) / 4};
  on(ticket, [=](auto& device) { take_ticket(device, args); });
  return ticket;
}

Tensor masked(const Tensor& x, double p, int64_t decisions, const Tensor& ticket) {
  Tensor y(x.shape(), x.dtype());
  const DropoutArgs args{x.dtype(),  pointer(x),
                         pointer(y), static_cast<const int32_t*>(pointer(ticket)),
                         decisions,  decisions == 0 ? 0 : x.numel() / decisions,
                         p};
  on(y, [=](auto& device) { dropout(device, args); });
  record(y, {x},
         [=](const Tensor& dy, Cotangents& dx) { dx.add(0, masked(dy, p, decisions, ticket)); });
  return y;
}

void check(const char* op, const Tensor& x, double p) {
  require_real(op, x);
  require(p >= 0 && p < 1, op, "p is not in [0, 1) (" + std::to_string(p) + ")");
}

}  // namespace

void set_mask_state(const std::vector<uint32_t>& words) {
  require(words.size() == 4, "set_mask_state",
          "needs 4 words (" + std::to_string(words.size()) + ")");
  const Scoped<std::shared_ptr<Pool>> pool(context().pool, context().own_pool);  // outlives steps
  const Tensor state = Tensor::from(std::vector<int32_t>(words.begin(), words.end()), {4});
  Tensor& current = context().mask_state;
  if (current.defined())
    current.assign(state);  // in place: recorded steps go on from here
  else
    current = state;
}

std::vector<uint32_t> mask_state() {
  if (!context().mask_state.defined()) seed_masks(0);
  const std::vector<int32_t> words = context().mask_state.host<int32_t>();
  return {words.begin(), words.end()};
}

void seed_masks(uint64_t seed) {
  set_mask_state({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), 0, 0});
}

Tensor dropout(const Tensor& x, double p) {
  check("dropout", x, p);
  if (p == 0) return x;
  return masked(x, p, x.numel(), take_ticket(x.numel()));
}

Tensor drop_path(const Tensor& x, double p) {
  check("drop_path", x, p);
  require(x.rank() >= 1, "drop_path", "x has no axis");
  if (p == 0) return x;
  return masked(x, p, x.dim(0), take_ticket(x.dim(0)));
}

}  // namespace sinew
