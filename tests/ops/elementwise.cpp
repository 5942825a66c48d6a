#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "core/scalar.h"
#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

using Op = Tensor (*)(const Tensor&);
struct Row {
  const char* name;
  Op op;
  double (*exact)(double);
  double low, high;  // domain
};
const Row rows[] = {
    {"neg", neg, [](double x) { return -x; }, -2, 2},
    {"abs", abs, [](double x) { return std::abs(x); }, 0.1, 2},
    {"exp", exp, [](double x) { return std::exp(x); }, -2, 2},
    {"log", log, [](double x) { return std::log(x); }, 0.1, 3},
    {"sqrt", sqrt, [](double x) { return std::sqrt(x); }, 0.1, 3},
    {"square", square, [](double x) { return x * x; }, -2, 2},
    {"sin", sin, [](double x) { return std::sin(x); }, -9, 9},
    {"cos", cos, [](double x) { return std::cos(x); }, -9, 9},
    {"tanh", tanh, [](double x) { return std::tanh(x); }, -2, 2},
    {"relu", relu, [](double x) { return x > 0 ? x : 0; }, 0.1, 2},
    {"relu", relu, [](double x) { return x > 0 ? x : 0; }, -2, -0.1},
    {"gelu", gelu, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }, -3, 3},
    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -3, 3},
    {"softplus", softplus, [](double x) { return std::log1p(std::exp(x)); }, -3, 3},
};
#define SINEW_COUNT(name, Struct) +1
constexpr int plain_ops = 0 SINEW_UNARY_PLAIN(SINEW_COUNT);
static_assert(plain_ops == 13, "a new scalar op needs a row in the table above");

// Whether f() has the same bits with one thread and with four (values() keeps the sign of zero).
template <class F>
bool same_for_threads(const F& f) {
  const int former = threads();
  set_threads(1);
  const std::vector<double> one = f().values();
  set_threads(4);
  const std::vector<double> four = f().values();
  set_threads(former);
  return one.size() == four.size() &&
         std::memcmp(one.data(), four.data(), one.size() * sizeof(double)) == 0;
}

}  // namespace

TEST_CASE("elementwise: values and gradients of every unary op") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Tensor x = random({3, 7}, 5, row.low, row.high);
    const auto xs = x.host<double>(), ys = row.op(x).host<double>();
    for (size_t i = 0; i < xs.size(); ++i)
      CHECK(ys[i] == doctest::Approx(row.exact(xs[i])).epsilon(1e-14));
    const Function f = [&](const std::vector<Tensor>& in) { return row.op(in[0]); };
    CHECK(gradient_error(f, {x}) < 1e-6);
    CHECK(second_order_error(f, {x}) < 1e-6);
  }
}

TEST_CASE("elementwise: f32 agrees with f64 on all sizes and instruction sets") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (int64_t n : {0, 1, 31, 33, 4097})
      for (const Row& row : rows) {
        CAPTURE(row.name);
        CAPTURE(n);
        const Tensor x = random_f32({n}, 7, row.low, row.high);
        const Tensor y = row.op(x), exact = row.op(cast(x, DType::f64));
        CHECK(difference(y, exact) < 4 * 1.2e-7);
      }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("elementwise: special values") {
  const std::vector<float> x{0.f, -0.f, INFINITY, -INFINITY, NAN, 25.f, 1e30f, -1e30f};
  const auto y = [&](Op op) { return op(Tensor::from(x, {8})).host<float>(); };
  CHECK(y(relu)[2] == INFINITY);
  CHECK(y(relu)[3] == 0);
  CHECK(std::isnan(y(relu)[4]));
  CHECK(y(softplus)[5] == 25.f);
  CHECK(y(softplus)[2] == INFINITY);
  CHECK(y(softplus)[3] == 0);
  CHECK(y(sigmoid)[2] == 1);
  CHECK(y(sigmoid)[3] == 0);
  CHECK(std::isnan(y(sin)[2]));
  CHECK(std::abs(y(sin)[6]) <= 1);
  CHECK(y(tanh)[3] == -1);
  CHECK(y(exp)[3] == 0);
  CHECK(std::isnan(y(exp)[4]));
  CHECK(std::isnan(clamp(Tensor::from(x, {8}), -1, 1).host<float>()[4]));
  CHECK(clamp(Tensor::from(x, {8}), -1, 1).host<float>()[7] == -1);
}

TEST_CASE("elementwise: sine of large arguments keeps its accuracy") {
  std::vector<float> x;
  for (double v = 1; v < 3e9; v *= 1.37) x.push_back(static_cast<float>(v));
  const auto y = sin(Tensor::from(x, {static_cast<int64_t>(x.size())})).host<float>();
  for (size_t i = 0; i < x.size(); ++i)
    CHECK(y[i] == doctest::Approx(std::sin(static_cast<double>(x[i]))).epsilon(2e-7));
}

TEST_CASE("elementwise: functions with constants") {
  const Tensor x = random({11}, 3, 0.2, 2);
  const auto check = [&](const Function& f) {
    CHECK(gradient_error(f, {x}) < 1e-6);
    CHECK(second_order_error(f, {x}) < 1e-6);
  };
  check([](const auto& in) { return affine(in[0], 3, -1); });
  check([](const auto& in) { return pow(in[0], 2.5); });
  check([](const auto& in) { return clamp(in[0], 0.5, 1.5); });
  CHECK(clamp(Tensor::from(std::vector<float>{-3, 0, 3}, {3}), -1, 2).host<float>() ==
        std::vector<float>{-1, 0, 2});
  CHECK_THROWS_WITH_AS(clamp(x, 2, 1), "clamp: low is above high", Error);
  CHECK_THROWS_WITH_AS(sin(Tensor({2}, DType::i32)), "sin: needs f32 or f64 (i32)", Error);
  CHECK_THROWS_WITH_AS(sin(Tensor()), "sin: tensor is undefined", Error);
}

TEST_CASE("elementwise: binary ops broadcast, with gradients") {
  struct Pair {
    Shape a, b;
  };
  const Pair shapes[] = {{{3, 4}, {3, 4}}, {{3, 4}, {4}},         {{3, 1}, {1, 4}},
                         {{}, {2, 3}},     {{2, 3}, {}},          {{2, 1, 3}, {5, 1}},
                         {{1}, {1, 1}},    {{4, 5, 2}, {4, 1, 2}}};
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const std::pair<const char*, Binary> ops[] = {
      {"add", add}, {"sub", sub},         {"mul", mul},        {"div", div},
      {"pow", pow}, {"minimum", minimum}, {"maximum", maximum}};
  for (const auto& [name, op] : ops)
    for (const Pair& pair : shapes) {
      const std::string which = name;  // clang 14 cannot capture a structured binding
      CAPTURE(which);
      const Tensor a = random(pair.a, 1, 0.3, 2), b = random(pair.b, 2, 0.3, 2);
      const Function f = [op = op](const std::vector<Tensor>& in) { return op(in[0], in[1]); };
      CHECK(gradient_error(f, {a, b}) < 1e-6);
      CHECK(second_order_error(f, {a, b}) < 1e-6);
    }
}

TEST_CASE("elementwise: where, comparisons and ties") {
  const Tensor a = Tensor::from(std::vector<double>{1, 2, 3}, {3});
  const Tensor b = Tensor::from(std::vector<double>{3, 2, 1}, {3});
  CHECK(less(a, b).host<uint8_t>() == std::vector<uint8_t>{1, 0, 0});
  CHECK(equal(a, b).host<uint8_t>() == std::vector<uint8_t>{0, 1, 0});
  CHECK(where(less(a, b), a, b).host<double>() == std::vector<double>{1, 2, 1});
  const Tensor cond = Tensor::from(std::vector<uint8_t>{1, 0, 1, 1}, {4, 1});
  const Function f = [&](const std::vector<Tensor>& in) { return where(cond, in[0], in[1]); };
  CHECK(gradient_error(f, {random({4, 3}, 1), random({3}, 2)}) < 1e-6);
  const Function half = [](const std::vector<Tensor>& in) { return maximum(in[0], in[0]); };
  CHECK(gradient_error(half, {random({3}, 4)}) < 1e-6);  // the two halves of a tie add up
  CHECK_THROWS_WITH_AS(where(a, a, b), "where: cond is not u8 (f64)", Error);
  CHECK_THROWS_WITH_AS(add(a, Tensor({2}, DType::f64)), "add: shapes do not broadcast: [3] and [2]",
                       Error);
  CHECK_THROWS_WITH_AS(add(a, Tensor({3})), "add: dtypes differ (f64, f32)", Error);
  CHECK_THROWS_WITH_AS(less(a, Tensor({3})), "less: dtypes differ (f64, f32)", Error);
}

TEST_CASE("elementwise: cast") {
  const Tensor x = Tensor::from(std::vector<float>{1.5f, -2.7f, 300.f, NAN, 1.00390625f}, {5});
  CHECK(cast(x, DType::i32).host<int32_t>() == std::vector<int32_t>{1, -2, 300, 0, 1});
  CHECK(cast(x, DType::u8).host<uint8_t>() == std::vector<uint8_t>{1, 0, 255, 0, 1});
  const auto back = cast(cast(x, DType::bf16), DType::f32).host<float>();
  CHECK(back[0] == 1.5f);
  CHECK(back[1] == -2.703125f);
  CHECK(back[4] == 1.0f);  // a tie goes to even
  CHECK(std::isnan(back[3]));
  const Function f = [](const std::vector<Tensor>& in) {
    return cast(cast(in[0], DType::f32), DType::f64);
  };
  CHECK(gradient_error(f, {Tensor::full({3}, 2, DType::f64)}) < 1e-2);  // f32 rounding of x +- h
}

TEST_CASE("elementwise: powers at zero") {
  const auto derivative = [](double exponent, double at, int order, DType dtype) {
    Tape tape;
    Tensor x = Tensor::full({1}, at, dtype);
    tape.watch(x);
    GradientOptions graph;
    graph.create_graph = true;
    Tensor y = pow(x, exponent);
    for (int i = 0; i < order; ++i) y = tape.gradients(y, {x}, graph)[0];
    return y.value();
  };
  for (DType dtype : {DType::f32, DType::f64}) {
    CHECK(derivative(0, 0, 0, dtype) == 1);
    CHECK(derivative(0, 0, 1, dtype) == 0);
    CHECK(derivative(1, 0, 1, dtype) == 1);
    CHECK(derivative(1, 0, 2, dtype) == 0);
    CHECK(derivative(2, 0, 2, dtype) == 2);
    const Tensor zero = Tensor::zeros({1}, dtype);
    CHECK(pow(zero, zero).value() == 1);
    CHECK(pow(Tensor::full({1}, 1, dtype), Tensor::full({1}, NAN, dtype)).value() == 1);
  }
}

TEST_CASE("elementwise: conversions are exact or rounded once") {
  const Tensor big = Tensor::from(std::vector<int32_t>{16777217, 2147483647}, {2});
  CHECK(cast(big, DType::f64).host<double>() == std::vector<double>{16777217, 2147483647});
  const Tensor x = Tensor::from(std::vector<double>{1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-8}, {2});
  const auto rounded = cast(cast(x, DType::bf16), DType::f32).host<float>();
  CHECK(rounded == std::vector<float>{1.0078125f, 1.0f});
}

TEST_CASE("elementwise: third derivatives are refused") {
  const auto third = [](const Function& f) {
    Tape tape;
    Tensor y = Tensor::full({1}, 0.7, DType::f64);
    tape.watch(y);
    const Tensor x = y;
    GradientOptions graph;
    graph.create_graph = true;
    y = f({x});
    for (int i = 0; i < 3; ++i) y = tape.gradients(y, {x}, graph)[0];
  };
  for (const Row& row : rows) {
    if (row.op == Op{neg}) continue;  // linear: goes to any order
    const std::string message = std::string(row.name) + ": third derivatives are not available";
    CHECK_THROWS_WITH_AS(third([&](const auto& in) { return row.op(in[0]); }), message.c_str(),
                         Error);
  }
  CHECK_THROWS_WITH_AS(third([](const auto& in) { return pow(in[0], 2.5); }),
                       "pow: third derivatives are not available", Error);
  CHECK_THROWS_WITH_AS(third([](const auto& in) { return clamp(in[0], 0, 1); }),
                       "clamp: third derivatives are not available", Error);
}

TEST_CASE("elementwise: unary ops and their gradients, the same bits for any number of threads") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Tensor x = random_f32({300, 1001}, 1, row.low, row.high), wide = cast(x, DType::f64);
    CHECK(same_for_threads([&] { return row.op(x); }));
    CHECK(same_for_threads([&] { return row.op(wide); }));
    CHECK(same_for_threads([&] {
      Tape tape;
      Tensor t = x;
      tape.watch(t);
      GradientOptions options;
      options.cotangent = x;
      return tape.gradients(row.op(t), {t}, options)[0];
    }));
  }
}

TEST_CASE("elementwise: binary ops that broadcast, the same bits for any number of threads") {
  const std::pair<Shape, Shape> shapes[] = {{{300, 1000}, {1000}},
                                            {{300, 1}, {1, 1000}},
                                            {{}, {300, 1000}},
                                            {{2, 150001}, {2, 1}}};  // long rows are split
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const Binary ops[] = {add, sub, mul, div, pow, minimum, maximum, less, equal};
  for (const auto& pair : shapes) {
    const Tensor a = random_f32(pair.first, 1, 0.3, 2), b = random_f32(pair.second, 2, 0.3, 2);
    for (Binary op : ops) CHECK(same_for_threads([&] { return op(a, b); }));
    const Tensor cond = less(a, b), wide_a = cast(a, DType::f64), wide_b = cast(b, DType::f64);
    CHECK(same_for_threads([&] { return where(cond, a, b); }));
    CHECK(same_for_threads([&] { return mul(wide_a, wide_b); }));
  }
}

TEST_CASE("elementwise: cast between all types, the same bits for any number of threads") {
  const Tensor x = random({300, 1000}, 1, -300, 300);
  const DType types[] = {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8};
  for (DType from : types)
    for (DType to : types)
      CHECK(same_for_threads([&] {
        const Tensor y = cast(cast(x, from), to);
        return to == DType::bf16 ? cast(y, DType::f32) : y;
      }));
}

TEST_CASE("elementwise: NaN wins in minimum and maximum, at every instruction-set level") {
  const Isa former = isa();
  const float nan = std::nanf("");
  const Tensor a = Tensor::from(std::vector<float>{1, nan, 1, nan, 2, 1, nan, 1, nan, 2}, {10}),
               b = Tensor::from(std::vector<float>{2, 1, nan, nan, 1, 2, 1, nan, nan, 1}, {10});
  for (const Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (const bool wide : {false, true}) {
      const DType dtype = wide ? DType::f64 : DType::f32;
      const auto low = minimum(cast(a, dtype), cast(b, dtype)).values(),
                 high = maximum(cast(a, dtype), cast(b, dtype)).values();
      for (size_t i = 0; i < low.size(); ++i) {
        const bool none = i % 5 == 1 || i % 5 == 2 || i % 5 == 3;
        CHECK(std::isnan(low[i]) == none);
        CHECK(std::isnan(high[i]) == none);
        if (!none) CHECK((low[i] == 1 && high[i] == 2));
      }
    }
  }
  set_isa(former);
}

TEST_CASE("sin, cos and exp in f32: bounds in units of the last place, over all magnitudes") {
  std::vector<float> x;
  for (uint32_t bits = 0; bits < 0x7f800000u; bits += 16411) {  // a prime: 130 thousand patterns
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  const Tensor t = Tensor::from(x, {static_cast<int64_t>(x.size())});
  const auto worst = [&](const Tensor& y, auto exact) {
    const auto values = y.host<float>();
    double error = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double e = exact(static_cast<double>(x[i]));
      // exp: subnormal, or xsimd's infinity from 88.376 on (f32 would reach 88.722)
      if (std::abs(e) > 2.4e38 || std::abs(e) < 1.2e-38) continue;
      const double ulp = std::ldexp(1.0, std::ilogb(e) - 23);
      error = std::max(error, std::abs(values[i] - e) / ulp);
    }
    return error;
  };
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    CHECK(worst(sin(t), [](double v) { return std::sin(v); }) < 1.6);
    CHECK(worst(cos(t), [](double v) { return std::cos(v); }) < 1.6);
    CHECK(worst(exp(t), [](double v) { return std::exp(v); }) < 1.5);
  }
  set_isa(parse_isa("auto"));
}
