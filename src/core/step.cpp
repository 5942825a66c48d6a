// Step: eager, recorded, replayed. A recording is a list of kernel closures over fixed addresses,
// on a GPU a CUDA Graph of them (docs/capture.md).
// Each combination of shapes has a pool of its own, in which nothing is allocated any more once the
// recording is made: so what the recording freed stays reserved for its replays. Buffers from
// elsewhere are kept alive by the recording.
#include "sinew/step.h"

#include <algorithm>

#include "core/dispatch.h"
#include "cuda/device.h"

namespace sinew {

using Inputs = std::span<const Tensor>;
using Outputs = std::vector<Tensor>;

struct Step::State {
  using Key = std::vector<std::pair<Shape, DType>>;
  struct Entry {
    Key key;
    std::shared_ptr<Pool> pool = std::make_shared<Pool>(device(), context().pool->guard());
    std::vector<Tensor> inputs;  // fixed buffers, made by the recording call
    Outputs outputs;
    Recorder recorder;
    std::unique_ptr<cuda::Graph> graph;  // on a GPU
    bool recorded = false;
  };

  explicit State(Function f) : function(std::move(f)) {}
  Entry* find(Inputs inputs) const;
  const Outputs& first_call(Inputs inputs);
  void record(Entry& entry, Inputs inputs);
  void replay(const Entry& entry, Inputs inputs);

  Function function;
  std::vector<std::unique_ptr<Entry>> entries;
};

namespace {

bool shares_a_buffer(Inputs a, Inputs b) {
  for (const Tensor& t : a)
    for (const Tensor& u : b)
      if (TensorAccess::buffer(t) == TensorAccess::buffer(u)) return true;
  return false;
}

}  // namespace

Step::State::Entry* Step::State::find(Inputs inputs) const {
  for (const auto& entry : entries) {
    bool same = entry->key.size() == inputs.size() && entry->pool->device() == device();
    for (size_t i = 0; same && i < inputs.size(); ++i)
      same = entry->key[i].first == inputs[i].shape() && entry->key[i].second == inputs[i].dtype();
    if (same) return entry.get();
  }
  return nullptr;
}

// The entry is kept only if the call succeeds: an eager call has checked what a recording cannot.
const Outputs& Step::State::first_call(Inputs inputs) {
  auto entry = std::make_unique<Entry>();
  for (const Tensor& t : inputs) entry->key.emplace_back(t.shape(), t.dtype());
  const Scoped<std::shared_ptr<Pool>> pool(context().pool, entry->pool);
  entry->outputs = function({inputs.begin(), inputs.end()});
  return entries.emplace_back(std::move(entry))->outputs;
}

void Step::State::record(Entry& entry, Inputs inputs) {
  const Scoped<std::shared_ptr<Pool>> pool(context().pool, entry.pool);
  for (const Tensor& t : inputs) {
    entry.inputs.emplace_back(t.shape(), t.dtype());
    entry.inputs.back().assign(t);
  }
  entry.outputs.clear();  // those of call 1, perhaps the inputs of this one
  entry.recorder.pool = entry.pool;
  {
    const Scoped<Recorder*> recording(context().recorder, &entry.recorder);
    if (device() == Device::cuda) entry.graph = std::make_unique<cuda::Graph>(*context().cuda);
    entry.outputs = function(entry.inputs);
    if (entry.graph) entry.graph->end();
  }
  if (entry.graph) entry.graph->launch(*context().cuda);
  entry.recorded = true;
}

void Step::State::replay(const Entry& entry, Inputs inputs) {
  if (shares_a_buffer(inputs, entry.inputs)) {  // a step that returns its own inputs
    std::vector<Tensor> copies;
    for (const Tensor& t : inputs) {
      copies.emplace_back(t.shape(), t.dtype());
      copies.back().assign(t);
    }
    return replay(entry, copies);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensor fixed = entry.inputs[i];
    fixed.assign(inputs[i]);
  }
  if (entry.graph) return entry.graph->launch(*context().cuda);
  for (const auto& call : entry.recorder.calls) call();
}

Step::Step(Function f) : state_(std::make_unique<State>(std::move(f))) {}
Step::~Step() = default;
Step::Step(Step&&) noexcept = default;
Step& Step::operator=(Step&&) noexcept = default;

const Outputs& Step::operator()(std::initializer_list<Tensor> inputs) {
  return (*this)(Inputs(inputs.begin(), inputs.size()));
}

const Outputs& Step::operator()(Inputs inputs) {
  for (const Tensor& t : inputs) require_defined("step", t);
  const Context& c = context();
  require(c.recorder == nullptr, "step", "a step cannot run inside another step's recording");
  require(c.tape == nullptr, "step", "a step cannot run under an active tape");
  State::Entry* entry = state_->find(inputs);
  if (!entry) return state_->first_call(inputs);
  if (entry->recorded) {
    state_->replay(*entry, inputs);
    return entry->outputs;
  }
  try {
    state_->record(*entry, inputs);
    return entry->outputs;
  } catch (...) {  // the next call with these shapes is a first one again
    std::erase_if(state_->entries, [&](const auto& e) { return e.get() == entry; });
    throw;
  }
}

MemoryStats Step::memory() const {
  MemoryStats total;
  for (const auto& entry : state_->entries) {
    const MemoryStats one = entry->pool->stats();
    total.in_use += one.in_use;
    total.high_water += one.high_water;
    total.reserved += one.reserved;
  }
  return total;
}

int64_t Step::recorded() const {
  int64_t calls = 0;
  for (const auto& entry : state_->entries)
    calls += static_cast<int64_t>(entry->recorder.calls.size());
  return calls;
}

}  // namespace sinew
