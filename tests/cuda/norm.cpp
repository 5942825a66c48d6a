// rms_norm and layer_norm on the GPU, at every way a row is held by threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda/any_order.h"
#include "cuda/gradient.h"
#include "cuda/parity.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

struct Size {
  int64_t rows, n;
};
// Part of a warp, a warp, blocks of 128 to 512, rows read twice; many rows, none.
const std::vector<Size> sizes = {{0, 5},   {1, 1},    {3, 31},   {65, 31}, {3, 33},
                                 {65, 33}, {130, 3},  {600, 5},  {3, 200}, {65, 130},
                                 {3, 600}, {1, 4097}, {3, 4097}, {2, 9000}};

Parity with(Size s) {
  Parity p;
  p.inputs = {{{s.rows, s.n}, Role::activation, -1, 2}, {{s.n}, Role::parameter}};
  p.length = std::max(s.rows, s.n);
  // x - mean 2, 1 / sqrt(...) 6, three products, bias; in dx two terms more
  p.ulps = 14;
  p.roundings = 1;
  return p;
}
std::string text(const char* op, Size s) {
  return op + (" " + std::to_string(s.rows) + " x " + std::to_string(s.n));
}

// eps is large: with a small one, the few elements of a short row may lie so close together that
// x - mean, or dx of a single element, is what cancellation leaves.
Tensor rms(const std::vector<Tensor>& in) { return rms_norm(in[0], in[1], 0.5); }
Tensor layer(const std::vector<Tensor>& in) { return layer_norm(in[0], in[1], in[2], 0.5); }

}  // namespace

TEST_CASE("cuda: rms_norm and layer_norm") {
  for (const Size s : sizes) {
    Parity p = with(s);
    p.f = rms;
    check_parity(text("rms", s), p);
    p.inputs.push_back({{s.n}, Role::parameter});
    p.f = layer;
    check_parity(text("layer", s), p);
  }
  Parity p = with({7, 12});
  p.inputs[0].shape = {7, 3, 4};
  p.inputs[1].shape = {4};
  p.f = rms;
  check_parity("rms of three axes", p);
}

TEST_CASE("cuda: norms, second order") {
  for (const Size s : {Size{3, 5}, Size{2, 33}}) {
    Parity p = with(s);
    p.ulps = 48;      // three times the length of the first order's chain
    p.roundings = 4;  // to bf16 three parts of a gradient, one after the other added to the sum
    for (const size_t which : {0, 1}) {
      p.f = [&](const std::vector<Tensor>& in) { return first_gradient(rms, in, which); };
      check_parity(text("gradient of rms", s), p);
    }
    p.inputs.push_back({{s.n}, Role::parameter});
    for (const size_t which : {0, 1, 2}) {
      p.f = [&](const std::vector<Tensor>& in) { return first_gradient(layer, in, which); };
      check_parity(text("gradient of layer", s), p);
    }
  }
}

TEST_CASE("cuda: a norm's gradients have the same bits for any order") {
  for (const Size s : {Size{70, 20}, Size{40, 100}, Size{9, 300}, Size{3, 9000}})
    check_any_order([&] {
      std::vector<float> values(static_cast<size_t>(s.rows * s.n)),
          parameters(values.begin(), values.begin() + s.n);
      for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
      for (size_t i = 0; i < parameters.size(); ++i)
        parameters[i] = std::cos(static_cast<float>(i));
      Tape tape;
      std::vector<Tensor> in{Tensor::from(values, {s.rows, s.n}), Tensor::from(parameters, {s.n}),
                             Tensor::from(parameters, {s.n})};
      for (Tensor& t : in) tape.watch(t);
      const Tensor y = layer(in);
      GradientOptions options;
      options.cotangent = y.detach();
      auto all = y.host<float>();
      for (const Tensor& g : tape.gradients(y, in, options))
        for (const float v : g.host<float>()) all.push_back(v);
      return all;
    });
}

TEST_CASE("cuda: a norm's parameters are f32 beside bf16") {
  const OnDevice cuda(Device::cuda);
  const Tensor x = Tensor::zeros({2, 3}, DType::bf16), w = Tensor::zeros({3}, DType::bf16);
  CHECK_THROWS_WITH_AS(rms_norm(x, w), "rms_norm: a parameter is not f32 (bf16)", Error);
  CHECK_THROWS_WITH_AS(layer_norm(x, Tensor::zeros({3}), w),
                       "layer_norm: a parameter is not f32 (bf16)", Error);
  CHECK(rms_norm(x, Tensor::zeros({3})).dtype() == DType::bf16);
}
