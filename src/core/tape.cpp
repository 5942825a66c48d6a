// The tape: nodes in creation order, gradients in a parallel array, no recursion.
// gradients() marks the nodes between wrt and y, then walks them in reverse; each closure adds the
// gradients of its inputs through Cotangents::add, which sums broadcast axes and checks the rest.
#include "sinew/tape.h"

#include <algorithm>
#include <atomic>

#include "core/context.h"
#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

uint64_t next_id() {
  static std::atomic<uint64_t> counter{0};
  return ++counter;
}

}  // namespace

bool Cotangents::needs(int input) const {
  const int32_t node = inputs_[static_cast<size_t>(input)];
  return node >= 0 && wanted_[static_cast<size_t>(node)];
}

// bf16 may come for f32, from an op on a parameter and activations: sums over it are in f32.
void Cotangents::add(int input, const Tensor& given) {
  if (!needs(input)) return;
  const auto node = static_cast<size_t>(inputs_[static_cast<size_t>(input)]);
  const auto& target = tape_.nodes_[node];
  const bool widens = given.dtype() == DType::bf16 && target.dtype == DType::f32;
  const Tensor dx = widens ? cast(given, DType::f32) : given;
  if (dx.dtype() != target.dtype)
    throw Error(std::string("tape: gradient has the wrong dtype (") + name(dx.dtype()) + " for " +
                name(target.dtype) + ")");
  const Tensor summed = dx.shape() == target.shape ? dx : sum_to(dx, target.shape);
  sums_[node] = sums_[node].defined() ? sinew::add(sums_[node], summed) : summed;
}

Tape::Tape() : id_(next_id()), former_(context().tape) { context().tape = this; }
Tape::~Tape() {  // also if a tape made later is still there
  Tape** slot = &context().tape;
  while (*slot && *slot != this) slot = &(*slot)->former_;
  if (*slot) *slot = former_;
}
Tape* Tape::active() { return context().tape; }

void Tape::watch(Tensor& t) {
  if (!t.defined() || (t.dtype() != DType::f32 && t.dtype() != DType::f64))
    throw Error("tape: only an f32 or f64 tensor can be watched");
  if (tracks(t)) return;
  require_not_on_outer_tape(t);
  nodes_.push_back({{}, nullptr, t.shape(), t.dtype()});
  t.node_ = static_cast<int32_t>(nodes_.size()) - 1;
  t.tape_ = id_;
}

// An inner tape would silently drop what an outer one should record.
void Tape::require_not_on_outer_tape(const Tensor& t) const {
  for (const Tape* outer = former_; outer; outer = outer->former_)
    if (outer->tracks(t)) throw Error("tape: a tensor of an outer tape is used under an inner one");
}

void Tape::record(Tensor& y, const std::vector<Tensor>& inputs, Backward backward) {
  bool any = false;
  for (const Tensor& input : inputs) {
    any = any || tracks(input);
    require_not_on_outer_tape(input);
  }
  if (!any) return;
  std::vector<int32_t> numbers;
  numbers.reserve(inputs.size());
  for (const Tensor& input : inputs) numbers.push_back(tracks(input) ? input.node_ : -1);
  nodes_.push_back({std::move(numbers), std::move(backward), y.shape(), y.dtype()});
  y.node_ = static_cast<int32_t>(nodes_.size()) - 1;
  y.tape_ = id_;
}

void record(Tensor& y, const std::vector<Tensor>& inputs, Backward backward) {
  if (Tape* tape = Tape::active()) tape->record(y, inputs, std::move(backward));
}

// Nodes that some wrt reaches: only their gradients are computed.
std::vector<char> Tape::mark_wanted(int32_t last, const std::vector<Tensor>& wrt) const {
  std::vector<char> wanted(static_cast<size_t>(last) + 1, 0);
  int32_t first = last + 1;
  for (const Tensor& t : wrt) {
    if (t.node_ > last) continue;
    wanted[static_cast<size_t>(t.node_)] = 1;
    first = std::min(first, t.node_);
  }
  for (int32_t i = first; i <= last; ++i)
    for (int32_t input : nodes_[static_cast<size_t>(i)].inputs)
      if (input >= 0 && wanted[static_cast<size_t>(input)]) wanted[static_cast<size_t>(i)] = 1;
  return wanted;
}

void Tape::check(const Tensor& y, const std::vector<Tensor>& wrt, const Tensor& cotangent) const {
  if (!tracks(y)) throw Error("tape: y was not recorded on this tape");
  for (const Tensor& t : wrt)
    if (!tracks(t)) throw Error("tape: gradient asked for a tensor that is not on this tape");
  if (!cotangent.defined()) {
    if (y.numel() == 1) return;
    throw Error("tape: y has several elements and no cotangent was given (" + y.shape().str() +
                ")");
  }
  if (!(cotangent.shape() == y.shape()))
    throw Error("tape: cotangent has another shape (" + cotangent.shape().str() + " for " +
                y.shape().str() + ")");
  if (cotangent.dtype() != y.dtype())
    throw Error(std::string("tape: cotangent has another dtype (") + name(cotangent.dtype()) +
                " for " + name(y.dtype()) + ")");
}

std::vector<Tensor> Tape::gradients(const Tensor& y, const std::vector<Tensor>& wrt,
                                    const GradientOptions& options) {
  check(y, wrt, options.cotangent);
  const Scoped<Tape*> scope(context().tape, options.create_graph ? this : nullptr);
  const std::vector<char> wanted = mark_wanted(y.node_, wrt);
  std::vector<char> asked(wanted.size(), 0);
  for (const Tensor& t : wrt)
    if (t.node_ <= y.node_) asked[static_cast<size_t>(t.node_)] = 1;
  std::vector<Tensor> sums(wanted.size());
  sums.back() =
      options.cotangent.defined() ? options.cotangent : Tensor::full(y.shape(), 1.0, y.dtype());

  for (auto i = wanted.size(); i-- > 0;) {
    Node& node = nodes_[i];
    bool enter = false;
    for (int32_t input : node.inputs)
      enter = enter || (input >= 0 && wanted[static_cast<size_t>(input)]);
    if (!enter || !sums[i].defined()) continue;
    if (!node.backward) throw Error("tape: the graph was consumed by an earlier call");
    const Tensor dy = asked[i] ? sums[i] : std::move(sums[i]);
    Cotangents dx(*this, node.inputs, sums, wanted);
    node.backward(dy, dx);
    if (!options.create_graph && !options.retain_graph) node.backward = nullptr;
  }
  std::vector<Tensor> out;
  for (const Tensor& t : wrt) {
    const Tensor sum = t.node_ <= y.node_ ? sums[static_cast<size_t>(t.node_)] : Tensor();
    out.push_back(sum.defined() ? sum : Tensor::zeros(t.shape(), t.dtype()));
  }
  return out;
}

// Each input gets an alias on the tape, so that the walk ends there even where inputs depend on
// each other, while the new gradients stay connected to the inputs themselves.
std::vector<Tensor> composed_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                                       const std::vector<Tensor>& inputs, const Tensor& dy) {
  Tape* tape = Tape::active();
  if (!tape) throw Error("tape: composed_gradients needs an active tape");
  std::vector<Tensor> aliases, tracked, out(inputs.size());
  for (const Tensor& input : inputs) {
    Tensor alias = input.defined() ? input.detach() : Tensor();
    if (input.defined())
      tape->record(alias, {input}, [](const Tensor& g, Cotangents& dx) { dx.add(0, g); });
    if (alias.defined() && tape->tracks(alias)) tracked.push_back(alias);
    aliases.push_back(std::move(alias));
  }
  const Tensor y = f(aliases);
  GradientOptions options;
  options.cotangent = dy;
  options.create_graph = true;
  const std::vector<Tensor> gradients = tape->gradients(y, tracked, options);
  size_t next = 0;
  for (size_t i = 0; i < aliases.size(); ++i)
    if (aliases[i].defined() && tape->tracks(aliases[i])) out[i] = gradients[next++];
  return out;
}

}  // namespace sinew
