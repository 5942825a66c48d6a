#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

const Trans both[] = {Trans::no, Trans::yes};

Shape stored(int64_t rows, int64_t columns, Trans t) {
  return t == Trans::yes ? Shape{columns, rows} : Shape{rows, columns};
}

// op(a) op(b) + bias by three loops.
std::vector<double> by_loops(int64_t m, int64_t n, int64_t k, const Tensor& a, const Tensor& b,
                             Trans ta, Trans tb, const Tensor& bias) {
  const auto va = a.values(), vb = b.values();
  std::vector<double> y(static_cast<size_t>(m * n), 0.0);
  if (bias.defined()) {
    const auto v = bias.values();
    for (size_t i = 0; i < y.size(); ++i) y[i] = v[i % v.size()];
  }
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < k; ++p)
        y[static_cast<size_t>(i * n + j)] +=
            va[static_cast<size_t>(ta == Trans::yes ? p * m + i : i * k + p)] *
            vb[static_cast<size_t>(tb == Trans::yes ? j * k + p : p * n + j)];
  return y;
}

struct Size {
  int64_t m, n, k;
};
// Around the widths of registers and tiles; cut along rows, columns and k (matmul_tiles).
const Size sizes[] = {{1, 1, 1},      {0, 3, 4},     {3, 0, 4},     {3, 4, 0},    {31, 33, 31},
                      {33, 31, 33},   {5, 2, 4097},  {4097, 1, 3},  {1, 4097, 3}, {70, 100, 65},
                      {20, 17, 5000}, {300, 20, 50}, {129, 193, 40}};

}  // namespace

TEST_CASE("matmul: values against loops, four transposes, every instruction set") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (const Size& s : sizes)
      for (Trans ta : both)
        for (Trans tb : both) {
          CAPTURE(s.m);
          CAPTURE(s.n);
          CAPTURE(s.k);
          const Tensor a = random_f32(stored(s.m, s.k, ta), 1, -1, 1);
          const Tensor b = random_f32(stored(s.k, s.n, tb), 2, -1, 1);
          const Tensor bias = random_f32({s.n}, 3, -1, 1);
          const Tensor exact =
              Tensor::from(by_loops(s.m, s.n, s.k, a, b, ta, tb, bias), {s.m, s.n});
          const Tensor wide =
              matmul(cast(a, DType::f64), cast(b, DType::f64), ta, tb, cast(bias, DType::f64));
          CHECK(difference(wide, exact) < 2.3e-16 * static_cast<double>(s.k + 2));
          // blocks of a sum round like a random walk
          const double roundings = std::sqrt(static_cast<double>(s.k + 2));
          CHECK(difference(matmul(a, b, ta, tb, bias), exact) < 1.2e-7 * roundings);
          CHECK(difference(matmul(a, b, ta, tb),
                           Tensor::from(by_loops(s.m, s.n, s.k, a, b, ta, tb, {}), {s.m, s.n})) <
                1.2e-7 * roundings);
        }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("matmul: gradients of both orders") {
  for (Trans ta : both)
    for (Trans tb : both) {
      const Tensor a = random(stored(3, 4, ta), 1), b = random(stored(4, 5, tb), 2);
      const Function f = [=](const std::vector<Tensor>& in) {
        return matmul(in[0], in[1], ta, tb, in[2]);
      };
      CHECK(gradient_error(f, {a, b, random({5}, 3)}) < 1e-6);
      CHECK(second_order_error(f, {a, b, random({5}, 3)}) < 1e-6);
    }
}

TEST_CASE("matmul: leading axes") {
  const Tensor a = random({2, 3, 4}, 1), b = random({4, 5}, 2);
  const Tensor y = matmul(a, b);
  CHECK(y.shape() == Shape{2, 3, 5});
  CHECK(difference(reshape(y, {6, 5}), matmul(reshape(a, {6, 4}), b)) == 0);
  for (Trans tb : both) {
    const Function f = [=](const std::vector<Tensor>& in) {
      return matmul(in[0], in[1], Trans::no, tb, in[2]);
    };
    CHECK(gradient_error(f, {a, random(stored(4, 5, tb), 2), random({5}, 3)}) < 1e-6);
    CHECK(second_order_error(f, {a, random(stored(4, 5, tb), 2), random({5}, 3)}) < 1e-6);
  }
}

TEST_CASE("matmul: the same bits for any number of threads") {
  const int before = threads();
  const Size shapes[] = {
      {256, 256, 128}, {96, 64, 70}, {64, 10, 6000}, {1000, 7, 300}, {8, 8, 30000}};
  for (const Size& s : shapes)
    for (Trans ta : both) {
      const Tensor a = random_f32(stored(s.m, s.k, ta), 1), b = random_f32({s.k, s.n}, 2);
      const Tensor bias = random_f32({s.n}, 3);
      set_threads(1);
      const auto one = matmul(a, b, ta, Trans::no, bias).host<float>();
      for (int count : {2, 3}) {
        set_threads(count);
        CHECK(matmul(a, b, ta, Trans::no, bias).host<float>() == one);
      }
    }
  set_threads(before);
}

TEST_CASE("matmul: errors") {
  const Tensor a({4, 3}), b({5, 2});
  CHECK_THROWS_WITH_AS(matmul(a, b), "matmul: inner sizes differ: a [4, 3] x b [5, 2]", Error);
  CHECK_THROWS_WITH_AS(matmul(a, b, Trans::yes, Trans::yes),
                       "matmul: inner sizes differ: a [4, 3]^T x b [5, 2]^T", Error);
  CHECK_THROWS_WITH_AS(matmul(a, Tensor({3, 2}, DType::f64)), "matmul: dtypes differ (f32, f64)",
                       Error);
  CHECK_THROWS_WITH_AS(matmul(a, Tensor()), "matmul: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(matmul(a, Tensor({3, 2}, DType::i32)), "matmul: needs f32 or f64 (i32)",
                       Error);
  CHECK_THROWS_WITH_AS(matmul(Tensor({3}), Tensor({3, 2})),
                       "matmul: needs matrices, or an untransposed a with leading axes: "
                       "a [3] x b [3, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(matmul(Tensor({2, 4, 3}), Tensor({4, 2}), Trans::yes),
                       "matmul: needs matrices, or an untransposed a with leading axes: "
                       "a [2, 4, 3]^T x b [4, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(matmul(a, Tensor({3, 2}), Trans::no, Trans::no, Tensor({3})),
                       "matmul: bias is [3], not [2]", Error);
  CHECK_THROWS_WITH_AS(matmul(a, Tensor({3, 2}), Trans::no, Trans::no, Tensor({2}, DType::f64)),
                       "matmul: bias is f64, not f32", Error);
  CHECK_THROWS_WITH_AS(matmul(a, Tensor({3, 2}), Trans::no, Trans::no, {}, DType::f64),
                       "matmul: on the cpu y is f32 (f64)", Error);
}
