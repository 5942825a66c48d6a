// y and the gradients of sum(y cotangent) for every input, once on the CPU in f64 and once on the
// GPU. Inputs are drawn as f32, rounded to bf16 where they will be bf16, so that both start equal.
#include "cuda/parity.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/tape.h"

namespace sinew::test {
namespace {

Tensor drawn(const Input& input, DType dtype, uint32_t seed) {
  TorchGenerator generator(seed);
  std::vector<float> values(static_cast<size_t>(input.shape.numel()));
  for (float& v : values)
    v = generator.uniform(static_cast<float>(input.low), static_cast<float>(input.high));
  return cast(cast(Tensor::from(values, input.shape), dtype), DType::f32);
}

DType type_of(const Input& input, DType dtype) {
  return input.role == Role::activation ? dtype : DType::f32;
}

// y, then the gradients of the inputs, as f64 on the host. `types`: of the inputs as f sees them.
std::vector<std::vector<double>> run(const Parity& p, DType dtype, Device device) {
  const OnDevice scope(device);
  const bool oracle = device == Device::cpu;
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    const DType type = type_of(p.inputs[i], dtype);
    const Tensor rounded = drawn(p.inputs[i], type, static_cast<uint32_t>(i + 1));
    inputs.push_back(cast(rounded, oracle ? DType::f64 : type));
  }
  // Leaves are f32 or f64 (bf16 is never a parameter): the tape sees the conversion.
  Tape tape;
  std::vector<Tensor> leaves, seen;
  for (size_t i = 0; i < inputs.size(); ++i) {
    leaves.push_back(cast(inputs[i], oracle ? DType::f64 : DType::f32));
    tape.watch(leaves[i]);
    seen.push_back(cast(leaves[i], inputs[i].dtype()));
  }
  const Tensor y = p.f(seen);
  const Input like{y.shape(), Role::activation, -1, 1};
  const DType y_type = oracle ? dtype : y.dtype();
  GradientOptions options;
  options.cotangent = cast(drawn(like, y_type == DType::f32 ? DType::f32 : dtype, 99), y.dtype());
  std::vector<Tensor> out{y.detach()};
  if (tape.tracks(y))
    for (const Tensor& g : tape.gradients(y, leaves, options)) out.push_back(g);
  std::vector<std::vector<double>> values;
  for (const Tensor& t : out)
    values.push_back((t.dtype() == DType::bf16 ? cast(t, DType::f32) : t).values());
  return values;
}

}  // namespace

OnDevice::OnDevice(Device device) : former_(sinew::device()) { set_device(device); }
OnDevice::~OnDevice() { set_device(former_); }

void check_parity(const std::string& name, const Parity& p) {
  for (const DType dtype : p.dtypes) {
    const auto expected = run(p, dtype, Device::cpu), got = run(p, dtype, Device::cuda);
    REQUIRE(expected.size() == got.size());
    double allowed = (p.ulps + 4 * std::sqrt(static_cast<double>(p.length))) * 0x1p-24;
    if (dtype == DType::bf16) allowed += p.roundings * 0x1p-8;
    for (size_t t = 0; t < got.size(); ++t) {
      REQUIRE(expected[t].size() == got[t].size());
      double largest = 0, worst = 0;
      bool finite = true;
      for (size_t i = 0; i < got[t].size(); ++i) {
        largest = std::max(largest, std::abs(expected[t][i]));
        worst = std::max(worst, std::abs(got[t][i] - expected[t][i]));
        finite = finite && std::isfinite(got[t][i]);
      }
      INFO(name << ", " << std::string(sinew::name(dtype)) << ", "
                << (t == 0 ? "y" : "gradient " + std::to_string(t)) << ": off by " << worst
                << ", allowed " << allowed * largest);
      CHECK((finite && worst <= allowed * largest));
    }
  }
}

}  // namespace sinew::test
