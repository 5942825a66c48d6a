// Rounds of calls. A round's length is the budget's share, so that fast calls are averaged over
// many; the calls of a round are not waited for one by one.
#include <algorithm>
#include <chrono>

#include "bench.h"
#include "sinew/device.h"
#include "sinew/ops.h"
#include "sinew/random.h"

namespace sinew::tools {
namespace {

// The only place that reads the clock: after all work that was begun, also on a GPU.
double now() {
  synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double time_of(const std::function<void()>& call, int64_t calls) {
  const double begin = now();
  for (int64_t i = 0; i < calls; ++i) call();
  return (now() - begin) / static_cast<double>(calls);
}

}  // namespace

Tensor random_tensor(const Shape& shape, DType dtype, double low) {
  constexpr size_t period = 1 << 16;
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  TorchGenerator generator(0);
  for (size_t i = 0; i < std::min(period, values.size()); ++i)
    values[i] = generator.uniform(static_cast<float>(low), 1);
  for (size_t i = period; i < values.size(); ++i) values[i] = values[i - period];
  return cast(Tensor::from(values, shape), dtype);
}

Timing measure(const Prepared& prepared, const Budget& budget, Replay replay,
               const std::function<void()>& between) {
  Step step(prepared.call);
  const std::function<void()> call = [&] {
    if (replay == Replay::yes)
      step(prepared.inputs);
    else
      prepared.call(prepared.inputs);
  };
  Timing timing;
  between();
  timing.first = time_of(call, 1);
  between();
  timing.second = time_of(call, 1);
  between();
  const double once = std::max(time_of(call, 1), 1e-9);
  const double round = budget.seconds / static_cast<double>(budget.rounds);
  timing.calls = static_cast<int64_t>(std::clamp(round / once, 1.0, 1e6));
  for (int64_t i = 3; i < budget.warmup; ++i) {
    between();
    call();
  }
  for (int64_t i = 0; i < budget.rounds; ++i) {
    between();
    timing.rounds.push_back(time_of(call, timing.calls));
  }
  std::sort(timing.rounds.begin(), timing.rounds.end());
  return timing;
}

}  // namespace sinew::tools
