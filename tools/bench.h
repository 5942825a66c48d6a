// What `sinew bench` measures and how; without the flags (bench.cpp) and the files
// (bench_record.h).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sinew/step.h"
#include "sinew/tensor.h"

namespace sinew::tools {

// What a call must at least do, whatever the kernels do: bench_cost.h counts.
struct Cost {
  double bytes = 0, operations = 0;
};

// Tiny sizes show only that every case runs: for tests and for emulated devices.
enum class Sizes : uint8_t { full, tiny };
// Element types: of parameters, and of what flows through a network.
struct Precision {
  DType parameters = DType::f32, activations = DType::f32;
};

struct Prepared {
  Step::Function call;
  std::vector<Tensor> inputs;  // of the call; a replayed one copies them
  Cost cost;
  int64_t parameters = 0;  // of a network
};
struct Case {
  std::string name;                   // kind/what/pass
  std::function<Prepared()> prepare;  // makes the tensors
};
using Cases = std::vector<Case>;

// ceiling/copy and ceiling/matmul: what the other cases' rates are shares of.
void add_ceilings(Cases& out, Precision precision, Sizes sizes);
void add_elementwise(Cases& out, Precision precision, Sizes sizes);
void add_layers(Cases& out, Precision precision, Sizes sizes);
void add_updates(Cases& out, Precision precision, Sizes sizes);
void add_modules(Cases& out, Precision precision, Sizes sizes);
void add_steps(Cases& out, Precision precision, Sizes sizes);

// Uniform in [low, 1); the same numbers for the same shape.
Tensor random_tensor(const Shape& shape, DType dtype, double low = -1);

struct Budget {
  int64_t rounds = 5;
  double seconds = 0.2;  // of all rounds together, but each makes at least one call
  int64_t warmup = 3;    // calls before the rounds; never fewer than these
};
enum class Replay : uint8_t { no, yes };
// Seconds per call.
struct Timing {
  double first = 0, second = 0;  // of these calls alone; on a replay the second one records
  int64_t calls = 0;             // of each round
  std::vector<double> rounds;    // mean of a round's calls, ascending
  double median() const { return rounds[rounds.size() / 2]; }
};
// `between` is called before each call and round, and may throw.
Timing measure(const Prepared& prepared, const Budget& budget, Replay replay,
               const std::function<void()>& between);

}  // namespace sinew::tools
