// Every scalar function on the GPU, value, first and second derivative; fill.
#include <doctest/doctest.h>

#include "core/scalar.h"
#include "cuda/parity.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

TEST_CASE("cuda: fill, and values that come back") {
  const OnDevice cuda(Device::cuda);
  for (const int64_t n : parity_sizes) {
    CHECK(Tensor::full({n}, 2.5).values() == std::vector<double>(static_cast<size_t>(n), 2.5));
    CHECK(Tensor::full({n}, 0.1, DType::f64).values() ==
          std::vector<double>(static_cast<size_t>(n), 0.1));
    CHECK(Tensor::full({n}, -7, DType::i32).values() ==
          std::vector<double>(static_cast<size_t>(n), -7));
    CHECK(Tensor::full({n}, 200, DType::u8).values() ==
          std::vector<double>(static_cast<size_t>(n), 200));
  }
}

TEST_CASE("cuda: scalar functions equal the CPU's") {
  const auto positive = [](const std::string& op) {
    return op == "log" || op == "sqrt" || op == "pow";
  };
  const auto check = [&](const char* op, auto f) {
    for (const int64_t n : parity_sizes) {
      Parity p;
      p.inputs = {{{n}, Role::activation, positive(op) ? 0.5 : -3, 3}};
      p.f = [f](const std::vector<Tensor>& in) { return f(in[0]); };
      check_parity(op, p);
    }
  };
#define SINEW_CHECK(name, Op) check(#name, [](const Tensor& x) { return name(x); });
  SINEW_UNARY_PLAIN(SINEW_CHECK)
#undef SINEW_CHECK
  check("affine", [](const Tensor& x) { return affine(x, 1.5, -0.25); });
  check("pow", [](const Tensor& x) { return pow(x, 2.5); });
  check("clamp", [](const Tensor& x) { return clamp(x, -0.8, 1.1); });
}
