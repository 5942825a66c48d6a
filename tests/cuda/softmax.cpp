// softmax, log_softmax and cross entropy on the GPU, at every way a row is held by threads; NaN and
// infinities come out as on the CPU.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda/any_order.h"
#include "cuda/gradient.h"
#include "cuda/parity.h"
#include "sinew/ops.h"
#include "sinew/step.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Size {
  int64_t rows, n;
};
const std::vector<Size> sizes = {{0, 5},    {3, 0},   {1, 1},    {3, 1},    {3, 31},
                                 {65, 31},  {65, 33}, {130, 3},  {600, 5},  {3, 200},
                                 {65, 130}, {3, 600}, {1, 4097}, {3, 4097}, {2, 9000}};

std::string text(const char* op, Size s) {
  return op + (" " + std::to_string(s.rows) + " x " + std::to_string(s.n));
}
Parity with(Size s) {
  Parity p;
  p.inputs = {{{s.rows, s.n}, Role::activation, -3, 3}};
  p.length = std::max<int64_t>(s.n, 1);
  // exp 4, sum, its inverse and product, in the gradient the same again; to bf16 y and dx
  p.ulps = 14;
  return p;
}
Tensor soft(const std::vector<Tensor>& in) { return softmax(in[0]); }
Tensor log_soft(const std::vector<Tensor>& in) { return log_softmax(in[0]); }

std::vector<int32_t> classes(Size s) {
  std::vector<int32_t> labels(static_cast<size_t>(s.rows));
  for (size_t i = 0; i < labels.size(); ++i)
    labels[i] = static_cast<int32_t>((i * 7919 + 3) % static_cast<size_t>(s.n));
  return labels;
}

// Equal in what is finite, infinite and NaN; finite values to `within`.
void check_alike(const std::vector<double>& got, const std::vector<double>& expected,
                 double within) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    if (std::isnan(expected[i]))
      CHECK(std::isnan(got[i]));
    else if (std::isinf(expected[i]))
      CHECK(got[i] == expected[i]);
    else
      CHECK(std::abs(got[i] - expected[i]) <= within);
  }
}

}  // namespace

TEST_CASE("cuda: softmax and log_softmax") {
  for (const Size s : sizes) {
    Parity p = with(s);
    p.f = soft;
    check_parity(text("softmax", s), p);
    p.f = log_soft;
    check_parity(text("log_softmax", s), p);
  }
}

TEST_CASE("cuda: cross_entropy") {
  std::vector<Size> with_rows{{1, 100000}};
  for (const Size s : sizes)
    if (s.rows > 0 && s.n > 0) with_rows.push_back(s);
  for (const Size s : with_rows) {
    Parity p = with(s);
    p.length = std::max(s.rows, s.n);
    p.f = [labels = classes(s), s](const std::vector<Tensor>& in) {
      return cross_entropy(in[0], Tensor::from(labels, {s.rows}));
    };
    check_parity(text("cross_entropy", s), p);
  }
}

TEST_CASE("cuda: softmax and cross_entropy, second order") {
  for (const Size s : {Size{3, 5}, Size{2, 33}}) {
    Parity p = with(s);
    p.ulps = 42;      // three times the length of the first order's chain
    p.roundings = 5;  // to bf16 p, p dy, its sum, the product, the difference
    p.f = [](const std::vector<Tensor>& in) { return first_gradient(soft, in, 0); };
    check_parity(text("gradient of softmax", s), p);
    p.f = [](const std::vector<Tensor>& in) { return first_gradient(log_soft, in, 0); };
    check_parity(text("gradient of log_softmax", s), p);
    p.f = [labels = classes(s), s](const std::vector<Tensor>& in) {
      const auto loss = [&](const std::vector<Tensor>& t) {
        return cross_entropy(t[0], Tensor::from(labels, {s.rows}));
      };
      return first_gradient(loss, in, 0);
    };
    check_parity(text("gradient of cross_entropy", s), p);
  }
}

TEST_CASE("cuda: softmax and cross_entropy of infinities and NaN as on the CPU") {
  const float inf = INFINITY;
  for (const int64_t n : {1, 5, 33, 300, 9000}) {
    CAPTURE(n);
    std::vector<float> x(static_cast<size_t>(6 * n));
    for (int64_t row = 0; row < 6; ++row)
      for (int64_t i = 0; i < n; ++i) {
        float& v = x[static_cast<size_t>(row * n + i)];
        v = static_cast<float>(i % 7);
        if (row == 1 && i % 2 == 0) v = -inf;
        if (row == 2) v = -inf;
        if (row == 3 && i == n / 2) v = inf;
        if (row == 4 && i == n / 2) v = NAN;
        if (row == 5) v = i % 3 == 0 ? 1e30f : -1e30f;
      }
    const auto on = [&](Device device, auto f) {
      const OnDevice scope(device);
      return f(Tensor::from(x, {6, n})).values();
    };
    const auto alike = [&](auto f, double within) {
      check_alike(on(Device::cuda, f), on(Device::cpu, f), within);
    };
    const double eps = 0x1p-24;
    alike([](const Tensor& t) { return softmax(t); }, 16 * eps);
    alike([](const Tensor& t) { return log_softmax(t); }, 16 * 16 * eps);  // of values up to 16
    for (int64_t row = 0; row < 6; ++row)
      alike(
          [&](const Tensor& t) {
            const std::vector<int32_t> label{static_cast<int32_t>(n / 2)};
            return cross_entropy(slice(t, 0, row, 1), Tensor::from(label, {1}));
          },
          16 * 16 * eps);
  }
}

TEST_CASE("cuda: a label that turns bad in a replayed step gives NaN") {
  const OnDevice cuda(Device::cuda);
  for (const int64_t n : {2, 700}) {
    Step step([](const std::vector<Tensor>& in) {
      Tape tape;
      Tensor x = in[0];
      tape.watch(x);
      const Tensor loss = cross_entropy(x, in[1]);
      return std::vector<Tensor>{loss, tape.gradients(loss, {x})[0]};
    });
    const Tensor x = Tensor::zeros({1, n});
    const auto labels = [](int64_t v) {
      return Tensor::from(std::vector<int32_t>{static_cast<int32_t>(v)}, {1});
    };
    for (int call = 0; call < 3; ++call) CHECK(!std::isnan(step({x, labels(1)})[0].item<float>()));
    for (const int64_t label : {n, int64_t{-1}}) {
      const auto out = step({x, labels(label)});
      CHECK(std::isnan(out[0].item<float>()));
      CHECK(std::isnan(out[1].host<float>().back()));
    }
  }
}

TEST_CASE("cuda: softmax has the same bits for any order") {
  for (const Size s : {Size{70, 20}, Size{9, 100}, Size{3, 300}, Size{2, 9000}})
    check_any_order([&] {
      std::vector<float> values(static_cast<size_t>(s.rows * s.n));
      for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
      Tape tape;
      Tensor x = Tensor::from(values, {s.rows, s.n});
      tape.watch(x);
      const Tensor loss = cross_entropy(softmax(x), Tensor::from(classes(s), {s.rows}));
      auto all = tape.gradients(loss, {x})[0].host<float>();
      all.push_back(loss.item<float>());
      return all;
    });
}
