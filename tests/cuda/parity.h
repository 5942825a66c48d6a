// An op on the GPU against the same op on the CPU in f64: values and gradients with a random
// cotangent, in f32 and in bf16.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sinew/tensor.h"

namespace sinew::test {

// Activations take the type under test, parameters (weights, scales) are f32 in both.
enum class Role : uint8_t { activation, parameter };

struct Input {
  Shape shape;
  Role role = Role::activation;
  double low = -1, high = 1;
};

struct Parity {
  std::vector<Input> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> f;
  // The tolerance of each tensor is (roundings eps + 4 eps_f32 sqrt(length)) max |oracle|, with eps
  // 2^-24 for f32 and 2^-9 for bf16, half the spacing at 1.
  int64_t length = 1;     // of the longest sum, in the gradients too
  double roundings = 16;  // to the type under test, one after the other; a function's error counts
  std::vector<DType> dtypes = {DType::f32, DType::bf16};
};

// Fails the running doctest case for each tensor that is out of tolerance, with `name`.
void check_parity(const std::string& name, const Parity& parity);

// The sizes every op is tested at: none, one, below, above and far above a warp.
inline const std::vector<int64_t> parity_sizes = {0, 1, 31, 33, 4097};

// set_device for a scope.
class OnDevice {
 public:
  explicit OnDevice(Device device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  Device former_;
};

}  // namespace sinew::test
