#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/geo.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

SharedConnectivity grid(int64_t h, int64_t w, int64_t k, Pattern pattern) {
  ConnectivityOptions options;
  options.shape = {h, w};
  options.k = k;
  options.pattern = pattern;
  options.radius = 2;
  options.seed = 3;
  return make_connectivity(options);
}

// The definition, one edge at a time in f64.
std::vector<double> by_definition(const Tensor& x, const Tensor& w, const Tensor& b,
                                  const Connectivity& c) {
  const auto xs = x.values(), ws = w.values(), bs = b.values();
  const size_t rows = xs.size() / static_cast<size_t>(c.n_in);
  std::vector<double> y;
  for (size_t r = 0; r < rows; ++r)
    for (size_t o = 0; o < static_cast<size_t>(c.n_out); ++o) {
      double sum = bs[o];
      for (size_t j = 0; j < static_cast<size_t>(c.k); ++j) {
        const size_t e = o * static_cast<size_t>(c.k) + j;
        sum += ws[e] * xs[r * static_cast<size_t>(c.n_in) + static_cast<size_t>(c.table[e])];
      }
      y.push_back(sum);
    }
  return y;
}

}  // namespace

TEST_CASE("geo_linear: the definition, for all levels, batch sizes and patterns") {
  for (Isa level : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!supports(level)) continue;
    set_isa(level);
    for (Pattern pattern : {Pattern::local, Pattern::random, Pattern::hash})
      for (int64_t rows : {0, 1, 31, 33, 64, 130})
        for (int64_t k : {1, 3, 8, 19}) {
          const auto c = grid(5, 7, k, pattern);
          const Tensor x = random({rows, 35}, 1), w = random({35, k}, 2), b = random({35}, 3);
          const auto exact = by_definition(x, w, b, *c);
          const Tensor expected = Tensor::from(exact, {rows, 35});
          CHECK(difference(geo_linear(x, w, b, c), expected) < 1e-14);
          const auto f32 = [](const Tensor& t) { return cast(t, DType::f32); };
          CHECK(difference(geo_linear(f32(x), f32(w), f32(b), c), expected) <
                1.2e-7 * static_cast<double>(k + 2));
        }
  }
  set_isa(parse_isa("auto"));
}

TEST_CASE("geo_linear: gradients of first and second order") {
  for (int64_t k : {3, 8, 11})
    for (Pattern pattern : {Pattern::local, Pattern::hash}) {
      const auto c = grid(3, 4, k, pattern);
      const Function f = [&](const auto& in) { return geo_linear(in[0], in[1], in[2], c); };
      const std::vector<Tensor> in{random({5, 12}, 1), random({12, k}, 2), random({12}, 3)};
      CHECK(gradient_error(f, in) < 1e-6);
      CHECK(second_order_error(f, in) < 1e-6);
    }
}

TEST_CASE("geo_linear: adjoint identities over many rows, in f32") {
  const auto c = grid(6, 6, 8, Pattern::random);
  for (int64_t rows : {1, 63, 64, 257, 600}) {
    const Tensor x = random_f32({rows, 36}, 1), w = random_f32({36, 8}, 2);
    const Tensor q = random_f32({rows, 36}, 3);
    Tape tape;
    Tensor tx = x, tw = w;
    tape.watch(tx);
    tape.watch(tw);
    GradientOptions options;
    options.cotangent = q;
    const Tensor y = geo_linear(tx, tw, {}, c);
    const auto g = tape.gradients(y, {tx, tw}, options);
    const auto dot = [](const Tensor& a, const Tensor& b) {
      return sum(mul(cast(a, DType::f64), cast(b, DType::f64))).item<double>();
    };
    const double forward = dot(y, q);  // linear in x and in w
    const double scale = std::sqrt(dot(y, y) * dot(q, q));
    CHECK(std::abs(dot(g[0], x) - forward) < 1e-6 * scale);
    CHECK(std::abs(dot(g[1], w) - forward) < 1e-6 * scale);
  }
}

TEST_CASE("geo_linear: the same bits for any number of threads") {
  const auto c = grid(16, 16, 8, Pattern::local);
  const Tensor x = random_f32({300, 256}, 1), w = random_f32({256, 8}, 2), b = random_f32({256}, 3);
  const auto run = [&](int count) {
    set_threads(count);
    Tape tape;
    std::vector<Tensor> in{x, w, b};
    for (Tensor& t : in) tape.watch(t);
    auto out = tape.gradients(sum(square(geo_linear(in[0], in[1], in[2], c))), in);
    std::vector<float> all;
    for (const Tensor& t : out)
      for (float v : t.host<float>()) all.push_back(v);
    return all;
  };
  const int former = threads();
  const auto one = run(1);
  for (int count : {2, 3, 5}) CHECK(run(count) == one);
  set_threads(former);
}

TEST_CASE("geo_linear: errors") {
  const auto c = grid(2, 2, 3, Pattern::local);
  const Tensor x({2, 4}), w({4, 3}), b({4});
  const auto error = [](auto f) {
    try {
      f();
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(error([&] { geo_linear(Tensor({4}), w, b, c); }) ==
        "geo_linear: x needs at least two axes [4]");
  CHECK(error([&] {
          geo_linear(Tensor({2, 5}), w, b, c);
        }) == "geo_linear: x [2, 5] has not 4 features");
  CHECK(error([&] {
          geo_linear(x, Tensor({4, 2}), b, c);
        }) == "geo_linear: weight [4, 2] is not [4, 3]");
  CHECK(error([&] { geo_linear(x, w, Tensor({3}), c); }) == "geo_linear: bias [3] is not [4]");
  CHECK(error([&] { geo_linear(x, w, b, nullptr); }) == "geo_linear: no connectivity");
  CHECK(error([&] {
          geo_linear(x, Tensor({4, 3}, DType::f64), b, c);
        }) == "geo_linear: a parameter is not f32 (f64)");
  CHECK(error([&] { geo_linear(x, w, Tensor({4}, DType::f64), c); }) ==
        "geo_linear: a parameter is not f32 (f64)");
  CHECK(error([&] { geo_linear(x, w, b, c, DType::f64); }) ==
        "geo_linear: y has x's type on the cpu (f32, f64)");
}
