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
  // Each tensor may differ by ((ulps + 4 sqrt(length)) 2^-24 + roundings 2^-8) max |oracle|; 2^-24
  // and 2^-8 are half the spacing at 1 of f32 and bf16, and the last term is for bf16 alone.
  int64_t length = 1;    // of the longest sum, in the gradients too
  double ulps = 16;      // of the f32 arithmetic, functions and products
  double roundings = 2;  // to bf16, one after the other: a value, and a gradient made from it
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
