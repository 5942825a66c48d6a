// Matrix products on the GPU: against the CPU in f64, types of operands and result, TF32, replayed
// steps, the library that is missing; and what the stand-in for cuBLASLt must refuse.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "cuda/cublaslt_api.h"
#include "cuda/parity.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/step.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

const Trans both[] = {Trans::no, Trans::yes};

Shape stored(int64_t rows, int64_t columns, Trans t) {
  return t == Trans::yes ? Shape{columns, rows} : Shape{rows, columns};
}

using Inputs = std::vector<Tensor>;

// y_dtype is the GPU's choice: the CPU's oracle is f64 throughout.
std::optional<DType> on_cuda(DType dtype) {
  return device() == Device::cuda ? std::optional(dtype) : std::nullopt;
}

struct Size {
  int64_t m, n, k;
};
std::vector<Size> sizes() {
  std::vector<Size> all = {{31, 33, 31}, {33, 31, 33}, {64, 48, 80}, {7, 1, 100}};
  for (const int64_t s : parity_sizes) {
    all.push_back({s, 3, 2});
    all.push_back({3, s, 2});
    all.push_back({3, 2, s});
  }
  return all;
}

Tensor drawn(const Shape& shape, uint32_t seed, DType dtype = DType::f32) {
  TorchGenerator generator(seed);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = generator.uniform(-1, 1);
  return cast(Tensor::from(values, shape), dtype);
}

std::vector<double> f32_values(const Tensor& t) { return cast(t, DType::f32).values(); }

}  // namespace

TEST_CASE("cuda: matmul, four transposes, values and gradients") {
  for (const Size& s : sizes())
    for (const Trans ta : both)
      for (const Trans tb : both) {
        Parity p;
        p.length = std::max({s.m, s.n, s.k});
        p.inputs = {{stored(s.m, s.k, ta)}, {stored(s.k, s.n, tb)}};
        p.f = [=](const Inputs& in) { return matmul(in[0], in[1], ta, tb); };
        check_parity(
            "matmul " + std::to_string(s.m) + " " + std::to_string(s.n) + " " + std::to_string(s.k),
            p);
      }
}

TEST_CASE("cuda: matmul of activations with f32 weights, leading axes, y of its own type") {
  for (const DType y : {DType::f32, DType::bf16})
    for (const Trans tb : both) {
      Parity p;
      p.length = 63;
      if (y == DType::bf16) p.dtypes = {DType::bf16};  // of f32: below, to the bit
      p.inputs = {{{3, 21, 31}}, {stored(31, 17, tb), Role::parameter}};
      p.f = [=](const Inputs& in) { return matmul(in[0], in[1], Trans::no, tb, {}, on_cuda(y)); };
      check_parity("matmul with a weight", p);
      p.inputs = {{{31, 21}, Role::parameter}, {stored(31, 17, tb)}};
      p.f = [=](const Inputs& in) { return matmul(in[0], in[1], Trans::yes, tb, {}, on_cuda(y)); };
      check_parity("matmul of a weight", p);
    }
}

TEST_CASE("cuda: matmul adds a bias, fused or not") {
  for (const Size& s : sizes()) {
    Parity p;
    p.length = std::max({s.m, s.n, s.k});
    p.inputs = {{{s.m, s.k}}, {{s.n, s.k}, Role::parameter}};
    p.f = [&](const Inputs& in) {
      const Tensor bias = cast(drawn({s.n}, 7), in[1].dtype());
      return matmul(in[0], in[1], Trans::no, Trans::yes, bias);
    };
    check_parity("matmul with a bias", p);
  }
  // Parameters lie in one block, so a bias can begin at any element.
  Parity p;
  p.inputs = {{{9, 5}}, {{5, 6}}};
  for (const int64_t first : {0, 1, 2, 4}) {
    p.f = [=](const Inputs& in) {
      const Tensor block = cast(drawn({10}, 7), device() == Device::cuda ? DType::f32 : DType::f64);
      return matmul(in[0], in[1], Trans::no, Trans::no, block.rows(first, 6));
    };
    check_parity("matmul with a bias in a block", p);
  }
}

TEST_CASE("cuda: matmul's gradient of a bias") {
  Parity p;
  p.length = 33;
  p.inputs = {{{33, 5}}, {{7, 5}, Role::parameter}, {{7}, Role::parameter}};
  p.f = [](const Inputs& in) { return matmul(in[0], in[1], Trans::no, Trans::yes, in[2]); };
  check_parity("matmul's gradient of a bias", p);
}

TEST_CASE("cuda: matmul's second derivatives") {
  for (const Trans ta : both)
    for (const Trans tb : both) {
      Parity p;
      p.length = 12;
      p.inputs = {{stored(9, 12, ta)}, {stored(12, 5, tb), Role::parameter}};
      p.f = [=](const Inputs& in) {
        const Tensor y = matmul(in[0], in[1], ta, tb);
        GradientOptions options;
        options.cotangent = y;  // so that the gradients are not linear in the inputs
        options.create_graph = true;
        return Tape::active()->gradients(y, {in[1]}, options)[0];
      };
      check_parity("matmul's second derivative", p);
    }
}

TEST_CASE("cuda: matmul's types") {
  const OnDevice cuda(Device::cuda);
  for (const DType a : {DType::f32, DType::bf16})
    for (const DType b : {DType::f32, DType::bf16}) {
      const Tensor x = drawn({4, 3}, 1, a), w = drawn({3, 5}, 2, b);
      CHECK(matmul(x, w).dtype() == a);
      for (const DType y : {DType::f32, DType::bf16})
        CHECK(matmul(x, w, Trans::no, Trans::no, {}, y).dtype() == y);
    }
  const Tensor p = drawn({4, 3}, 1), q = drawn({3, 5}, 2), bias = drawn({5}, 3);
  const auto product = [&](DType a, DType b) {
    return f32_values(matmul(cast(p, a), cast(q, b), Trans::no, Trans::no, bias, DType::bf16));
  };
  const auto rounded = product(DType::bf16, DType::bf16);
  CHECK(product(DType::f32, DType::f32) == rounded);
  CHECK(product(DType::f32, DType::bf16) == rounded);
  CHECK(product(DType::bf16, DType::f32) == rounded);
  // A weight's gradient in f32 is not rounded to bf16, and a shadow is the weight rounded once.
  const Tensor x = drawn({40, 3}, 1, DType::bf16), w = drawn({3, 5}, 2);
  Tape tape;
  Tensor leaf = w;
  tape.watch(leaf);
  GradientOptions options;
  options.cotangent = drawn({40, 5}, 3, DType::bf16);
  const Tensor y = matmul(x, leaf), dw = tape.gradients(y, {leaf}, options)[0];
  CHECK(dw.dtype() == DType::f32);
  CHECK(f32_values(cast(dw, DType::bf16)) != f32_values(dw));
  CHECK(f32_values(y) == f32_values(matmul(x, cast(w, DType::bf16))));

  const Tensor one({1, 1}), half({1, 1}, DType::bf16);
  CHECK_THROWS_WITH_AS(matmul(one, one, Trans::no, Trans::no, {}, DType::f64),
                       "matmul: on cuda y is f32 or bf16 (f64)", Error);
  CHECK_THROWS_WITH_AS(matmul(half, one, Trans::no, Trans::no, Tensor({1}, DType::bf16)),
                       "matmul: bias is bf16, not f32", Error);
  CHECK_THROWS_WITH_AS(matmul(one, Tensor({1, 1}, DType::f64)),
                       "matmul: needs f32 or bf16 on cuda (f64)", Error);
}

TEST_CASE("cuda: TF32 rounds the factors of f32 products only") {
  const OnDevice cuda(Device::cuda);
  const auto product = [](DType dtype, Tf32 setting) {
    set_tf32(setting);
    const std::vector<double> y =
        f32_values(matmul(drawn({8, 64}, 1, dtype), drawn({64, 8}, 2, dtype)));
    set_tf32(Tf32::off);
    return y;
  };
  const auto exact = product(DType::f32, Tf32::off), fast = product(DType::f32, Tf32::on);
#ifdef SINEW_EMULATE_CUDA  // a GPU's library may, and need not
  CHECK(fast != exact);
#endif
  for (size_t i = 0; i < exact.size(); ++i)  // each factor off by 2^-11, of at most 1, 64 times
    CHECK(std::abs(fast[i] - exact[i]) <= 64 * 0x1p-9);
  CHECK(product(DType::bf16, Tf32::on) == product(DType::bf16, Tf32::off));
}

TEST_CASE("cuda: a replayed step with products gives the eager bits") {
  const OnDevice cuda(Device::cuda);
  const Tensor w = drawn({70, 9}, 1), v = drawn({9, 1}, 2), bias = drawn({9}, 3),
               last = drawn({1}, 4);
  const auto network = [&](const Inputs& in) {
    const Tensor x = cast(in[0], DType::bf16);
    return Inputs{matmul(in[0], w, Trans::no, Trans::no, bias),
                  matmul(matmul(x, w, Trans::no, Trans::no, bias), v, Trans::no, Trans::no, last),
                  matmul(Tensor({4, 0}), Tensor({0, 9}), Trans::no, Trans::no, bias)};
  };
  Step step(network);
  for (uint32_t i = 0; i < 5; ++i) {
    const Tensor x = drawn({33, 70}, 10 + i);
    const Inputs expected = network({x}), got = step({x});
    for (size_t t = 0; t < got.size(); ++t) CHECK(f32_values(got[t]) == f32_values(expected[t]));
  }
}

TEST_CASE("cuda: a recorded product outlives the thread that recorded it") {
  const OnDevice cuda(Device::cuda);
  const Tensor w = drawn({80, 9}, 1), x = drawn({33, 80}, 2);
  synchronize();
  Step step([&](const Inputs& in) { return Inputs{matmul(in[0], w)}; });
  std::thread([&] {
    const OnDevice there(Device::cuda);
    for (int i = 0; i < 2; ++i) step({x});
    synchronize();
  }).join();
  CHECK(step({x})[0].values() == matmul(x, w).values());
}

TEST_CASE("cuBLASLt: a library that is missing or another one") {
  CHECK_THROWS_WITH_AS(lt::load({"no_such_library.so.13", "no_other.so"}),
                       "matmul: cuBLASLt was not found (no_such_library.so.13: cannot open shared "
                       "object file: No such file or directory)",
                       Error);
  CHECK_THROWS_WITH_AS(lt::load({"no_such_library.so", "libm.so.6"}),
                       "matmul: libm.so.6 lacks cublasLtCreate", Error);
  const std::vector<std::string> files = lt::usual_files();
  REQUIRE(files.size() >= 4);
  CHECK(files.front() == "libcublasLt.so.13");
  CHECK(files.back() == "/usr/local/cuda/lib64/libcublasLt.so");
}
