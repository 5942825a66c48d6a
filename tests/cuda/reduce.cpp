// Reductions on the GPU: sums and means by parity, extremes to the bit, the same bits for any order
// of blocks.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cuda/any_order.h"
#include "cuda/parity.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Axes {
  Shape shape;
  std::vector<int> axes;
};

int64_t length_of(const Axes& a) {
  int64_t length = a.axes.empty() ? a.shape.numel() : 1;
  for (int axis : a.axes) length *= a.shape[axis];
  return length;
}

// r alone, over few and many results, in front of, between and behind other axes, and two runs.
std::vector<Axes> cases() {
  std::vector<Axes> all;
  for (const int64_t r : parity_sizes) {
    all.push_back({{r}, {0}});
    all.push_back({{3, r}, {1}});
    all.push_back({{r, 3}, {0}});
    all.push_back({{2, r, 3}, {1}});
    if (r < 100) {
      all.push_back({{130, r}, {1}});
      all.push_back({{r, 130}, {0}});
      all.push_back({{65, r, 33}, {1}});
      all.push_back({{5, r, 7}, {0, 2}});
    }
  }
  all.push_back({{0, 5}, {1}});
  all.push_back({{5, 0}, {0}});
  all.push_back({{20000}, {0}});
  all.push_back({{2, 9, 400}, {}});
  all.push_back({{}, {}});
  return all;
}

// Values of f, in f64, with these inputs on the CPU and on the GPU.
template <class F>
std::vector<double> values_on(Device device, const std::vector<float>& x, const Shape& shape,
                              const F& f) {
  const OnDevice scope(device);
  return f(Tensor::from(x, shape)).values();
}

std::vector<double> with_nan_as_text(std::vector<double> v) {  // NaN equal to itself
  for (double& value : v)
    if (std::isnan(value)) value = 12345;
  return v;
}

}  // namespace

TEST_CASE("cuda: sum and mean along any axes") {
  for (const Axes& a : cases()) {
    Parity p;
    p.inputs = {{a.shape}};
    p.length = length_of(a);
    p.ulps = 2;
    p.roundings = 1;
    p.f = [&](const std::vector<Tensor>& in) { return sum(in[0], a.axes); };
    check_parity("sum of " + a.shape.str(), p);
    if (a.shape.numel() == 0) continue;
    p.ulps = 4;
    p.roundings = 2;  // the sum and its product with a constant
    p.f = [&](const std::vector<Tensor>& in) { return mean(in[0], a.axes, Keep::dims); };
    check_parity("mean of " + a.shape.str(), p);
  }
  Parity many;  // so many results that a warp has one for itself
  many.inputs = {{{8192, 40}}};
  many.length = 40;
  many.ulps = 2;
  many.roundings = 1;
  many.f = [](const std::vector<Tensor>& in) { return sum(in[0], {1}); };
  many.dtypes = {DType::f32};
  check_parity("sum of many rows", many);
}

TEST_CASE("cuda: max and min, values to the bit, gradients shared among ties") {
  for (const Axes& a : cases()) {
    if (length_of(a) == 0) continue;
    Parity p;
    p.inputs = {{a.shape}};
    p.ulps = 6;
    p.roundings = 3;  // counting ties, the share, its product
    p.f = [&](const std::vector<Tensor>& in) { return max(in[0], a.axes); };
    check_parity("max of " + a.shape.str(), p);
    p.f = [&](const std::vector<Tensor>& in) { return min(in[0], a.axes); };
    check_parity("min of " + a.shape.str(), p);
  }
}

TEST_CASE("cuda: extremes and argmax with ties, infinities and NaN as on the CPU") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = INFINITY;
  for (const int64_t n : {1, 33, 300, 20000})
    for (int kind = 0; kind < 6; ++kind) {
      const int64_t rows = n > 300 ? 2 : 9;
      std::vector<float> x(static_cast<size_t>(rows * n));
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t k = i % static_cast<size_t>(n), row = i / static_cast<size_t>(n);
        x[i] = static_cast<float>((i * 7919) % 13);       // ties
        if (kind == 1 && (k + row) % 5 == 0) x[i] = nan;  // some in front
        if (kind == 2 && k > row) x[i] = nan;
        if (kind == 3) x[i] = -inf;
        if (kind == 4) x[i] = k == 0 || k + row == 7 ? inf : nan;
        if (kind == 5) x[i] = k == 0 ? nan : inf;
      }
      CAPTURE(n);
      CAPTURE(kind);
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const auto same = [&](auto f) {
          const auto gpu = [&](const Tensor& t) { return f(cast(t, dtype)); };
          const auto got = [&](const Tensor& t) {
            const Tensor y = gpu(t);
            return y.dtype() == DType::bf16 ? cast(y, DType::f32) : y;
          };
          CHECK(with_nan_as_text(values_on(Device::cuda, x, {rows, n}, got)) ==
                with_nan_as_text(values_on(Device::cpu, x, {rows, n}, f)));
        };
        same([](const Tensor& t) { return argmax(t); });
        same([](const Tensor& t) { return max(t, {1}); });
        same([](const Tensor& t) { return min(t, {1}); });
        same([](const Tensor& t) { return max(t, {0}); });
        same([](const Tensor& t) { return min(t); });
      }
    }
  const OnDevice cuda(Device::cuda);
  CHECK_THROWS_WITH_AS(argmax(Tensor({2, 0})), "argmax: no elements to choose from [2, 0]", Error);
  CHECK_THROWS_WITH_AS(sum(Tensor({2}, DType::f64)), "sum: needs f32 or bf16 on cuda (f64)", Error);
  CHECK(argmax(Tensor({0, 2})).numel() == 0);
}

TEST_CASE("cuda: a sum has the same bits for any order of threads and blocks") {
  std::vector<float> x(3 * 7000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  for (const Shape& shape : {Shape{21000}, Shape{3, 7000}, Shape{7000, 3}, Shape{300, 70}})
    for (const int axis : {0, shape.rank() - 1})
      check_any_order([&] { return sum(Tensor::from(x, shape), {axis}).host<float>(); });
}
