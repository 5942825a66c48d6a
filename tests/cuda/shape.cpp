// What moves and converts elements on the GPU: the same elements as on the CPU, for every type.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/parity.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

const DType types[] = {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8};

Tensor counted(const Shape& shape, DType dtype) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251);
  return cast(Tensor::from(values, shape), dtype);
}

std::vector<double> values_of(const Tensor& t) {
  return (t.dtype() == DType::bf16 ? cast(t, DType::f32) : t).values();
}

template <class F>
void check_same(const char* name, const Shape& shape, const F& f) {
  for (const DType dtype : types) {
    const auto on = [&](Device device) {
      const OnDevice scope(device);
      return values_of(f(counted(shape, dtype)));
    };
    INFO(name << " of " << shape.str() << " " << std::string(sinew::name(dtype)));
    CHECK(on(Device::cuda) == on(Device::cpu));
  }
}

}  // namespace

TEST_CASE("cuda: slices, permutations and concatenations of every type") {
  for (const int64_t n : parity_sizes) {
    check_same("slice", {3, n}, [&](const Tensor& x) { return slice(x, 1, n / 3, n - n / 3); });
    check_same("permute", {n, 3}, [](const Tensor& x) { return permute(x, {1, 0}); });
    check_same("concat", {2, n}, [](const Tensor& x) { return concat({x, x, x}, 1); });
    check_same("broadcast_to", {n, 1}, [&](const Tensor& x) { return broadcast_to(x, {n, 3}); });
    check_same("reshape", {n, 2}, [&](const Tensor& x) { return reshape(x, {2, n}); });
    check_same("rows", {n, 2}, [&](const Tensor& x) {
      return affine(cast(x.rows(n / 2, n - n / 2), DType::f32), 1, 0);
    });
  }
  check_same("permute", {2, 3, 4, 5}, [](const Tensor& x) { return permute(x, {3, 1, 0, 2}); });
}

TEST_CASE("cuda: gradients of what moves elements") {
  const auto check = [](const char* name, const Shape& shape, auto f) {
    Parity p;
    p.inputs = {{shape}};
    p.f = [f](const std::vector<Tensor>& in) { return f(in[0]); };
    p.length = shape.numel();
    p.roundings = 4;  // parts of a gradient, each larger than their sum
    check_parity(name, p);
  };
  for (const int64_t n : parity_sizes) {
    check("slice", {3, n}, [n](const Tensor& x) { return slice(x, 1, n / 3, n - n / 3); });
    check("permute", {n, 3}, [](const Tensor& x) { return permute(x, {1, 0}); });
    check("concat", {2, n}, [](const Tensor& x) { return concat({x, square(x)}, 1); });
    check("broadcast_to", {n, 1}, [n](const Tensor& x) { return broadcast_to(x, {n, 3}); });
    check("reshape", {n, 2}, [n](const Tensor& x) { return reshape(x, {2, n}); });
    check("sum_to", {3, n}, [n](const Tensor& x) { return sum_to(x, {1, n}); });
  }
}

TEST_CASE("cuda: conversions between all types round and saturate as on the CPU") {
  const std::vector<double> given{0,
                                  -0.0,
                                  1.5,
                                  -1.5,
                                  2.5,
                                  255.9,
                                  256,
                                  -1,
                                  3e9,
                                  -3e9,
                                  1e-40,
                                  1e39,
                                  0x1p-149,
                                  1.00390625,
                                  3.01171875,
                                  NAN,
                                  INFINITY,
                                  -INFINITY,
                                  1 + 0x1p-9 + 0x1p-40,
                                  0.1};
  for (const DType from : types)
    for (const DType to : types) {
      const auto on = [&](Device device) {
        const OnDevice scope(device);
        const Tensor x = Tensor::from(given, {static_cast<int64_t>(given.size())});
        std::vector<double> out = values_of(cast(cast(x, from), to));
        for (double& v : out)
          if (std::isnan(v)) v = 1e300;
        return out;
      };
      INFO(std::string(name(from)) << " to " << std::string(name(to)));
      CHECK(on(Device::cuda) == on(Device::cpu));
    }
}
