// Step: eager, recorded, replayed. A recording is a list of kernel closures over fixed addresses.
// Each combination of shapes has a pool of its own, in which nothing is allocated any more once the
// recording is made: so what the recording freed stays reserved for its replays. Buffers from
// elsewhere are kept alive by the recording.
#include "sinew/step.h"

#include "core/dispatch.h"
#include "ops/copy.h"

namespace sinew {

struct Step::State {
  using Key = std::vector<std::pair<Shape, DType>>;
  struct Entry {
    Key key;
    std::shared_ptr<Pool> pool = std::make_shared<Pool>(Device::cpu, context().pool->guard());
    std::vector<Tensor> inputs;  // fixed buffers, made by the recording call
    std::vector<Tensor> outputs;
    Recorder recorder;
    bool recorded = false;
  };

  explicit State(Function f) : function(std::move(f)) {}
  Entry& entry_for(const std::vector<Tensor>& inputs);

  Function function;
  std::vector<std::unique_ptr<Entry>> entries;
};

Step::State::Entry& Step::State::entry_for(const std::vector<Tensor>& inputs) {
  Key key;
  for (const Tensor& t : inputs) key.emplace_back(t.shape(), t.dtype());
  for (const auto& entry : entries)
    if (entry->key == key) return *entry;
  entries.push_back(std::make_unique<Entry>());
  entries.back()->key = std::move(key);
  return *entries.back();
}

Step::Step(Function f) : state_(std::make_unique<State>(std::move(f))) {}
Step::~Step() = default;
Step::Step(Step&&) noexcept = default;
Step& Step::operator=(Step&&) noexcept = default;

std::vector<Tensor> Step::operator()(const std::vector<Tensor>& inputs) {
  for (const Tensor& t : inputs) require_defined("step", t);
  Context& c = context();
  require(c.recorder == nullptr, "step", "a step cannot run inside another step's recording");
  const size_t known = state_->entries.size();
  State::Entry& entry = state_->entry_for(inputs);
  if (entry.recorded) {
    for (size_t i = 0; i < inputs.size(); ++i) entry.inputs[i].assign(inputs[i]);
    for (const auto& call : entry.recorder.calls) call();
    return entry.outputs;
  }
  const Scoped<std::shared_ptr<Pool>> pool(c.pool, entry.pool);
  if (state_->entries.size() > known) return state_->function(inputs);  // the first call

  for (const Tensor& t : inputs) {
    entry.inputs.emplace_back(t.shape(), t.dtype());
    entry.inputs.back().assign(t);
  }
  entry.recorder.pool = entry.pool;
  try {
    const Scoped<Recorder*> recording(c.recorder, &entry.recorder);
    entry.outputs = state_->function(entry.inputs);
  } catch (...) {
    entry.recorder = Recorder();
    entry.inputs.clear();
    throw;
  }
  entry.recorded = true;
  return entry.outputs;
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
