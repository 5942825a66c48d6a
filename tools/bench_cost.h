// The operations and bytes that a function needs, counted from its formula in ops.h. Every number
// of operations that `sinew bench` shows comes from here.
//
// Operations: additions, multiplications, divisions, comparisons and values of functions (sine,
// exponential, square root) count one each; a multiply-add is two. Numbers per element are of one
// element of the first input; `backward` is what the gradients need beyond the forward pass, what
// it computes anew included.
//
// Bytes: forward, every input and the output once; backward, the output's cotangent and every
// gradient once, and again every input that the gradients depend on. Fused or not, a function needs
// these; a function made of several ops moves more, and so its share of the bandwidth is small.
// What a cache serves is not taken off.
#pragma once
#include "bench.h"
#include "sinew/nn.h"

namespace sinew::tools {

inline Cost operator+(Cost a, Cost b) { return {a.bytes + b.bytes, a.operations + b.operations}; }
inline Cost operator*(double n, Cost c) { return {n * c.bytes, n * c.operations}; }

struct PerElement {
  double forward = 0, backward = 0;
  double input = 0;  // of `backward`: what the first input's gradient takes
};
namespace count {
constexpr PerElement copy{0, 0}, one{1, 1}, linear{1, 0};
constexpr PerElement relu{1, 1}, tanh{1, 3}, gelu{5, 9};
constexpr PerElement sine{7, 21}, phase_sine{8, 23}, relu_sigmoid_sine{13, 33};
constexpr PerElement rms_norm{4, 10, 5}, layer_norm{7, 14, 6};
constexpr PerElement softmax{4, 4}, log_softmax{4, 3}, cross_entropy{4, 2};
constexpr PerElement square_error{3, 2}, robust_error{5, 3};
constexpr double adam = 14, sgd = 4, plain_sgd = 2, clip = 1, tally = 8;  // tally: of a step
// Of one element of the left factor, n columns; of one input cell, k edges (as many in as out).
constexpr PerElement matmul(double n) { return {2 * n, 4 * n}; }
constexpr PerElement geo_linear(double k) { return {2 * k, 4 * k, 2 * k}; }
constexpr PerElement residual{2, 3};  // x + alpha h
// One element of x through `depth` residual blocks with rms_norm and sine.
constexpr PerElement geo_blocks(double depth, double k) {
  return {
      depth * (rms_norm.forward + 2 * geo_linear(k).forward + sine.forward + residual.forward),
      depth * (rms_norm.backward + 2 * geo_linear(k).backward + sine.backward + residual.backward)};
}
PerElement activation(ActivationKind kind);
}  // namespace count

inline double bytes_of(const Tensor& t) {
  return static_cast<double>(t.numel() * size_of(t.dtype()));
}

enum class Saves : uint8_t { nothing, inputs };  // what the gradients depend on
// Gradient: forward and the gradients of x and the parameters; parameters: without that of x.
enum class Pass : uint8_t { forward, gradient, parameters };
// Of y = f(inputs); the first `wrt` inputs have gradients.
Cost cost_of(const std::vector<Tensor>& inputs, size_t wrt, const Tensor& y, PerElement operations,
             Saves saves, Pass pass);

struct ActivationSize {
  PerElement operations;
  double parameters = 0;  // per feature
};
// Of mixed the mean over its parts; `activation_types` must not be empty then.
ActivationSize activation_size(const NetworkConfig& config);

// One block x + alpha fc2(act(fc1(norm(x)))) of so many features and rows; fc as `linear` has it.
struct BlockSize {
  double rows = 0, features = 0;
  double weights = 0;      // of one fc, without bias
  double table = 0;        // entries of one fc's table
  PerElement linear = {};  // per feature of its input
  NormKind norm = NormKind::rms;
  ActivationSize activation = {};
  Bias bias = Bias::yes;
};
Cost layer_cost(const BlockSize& size, Precision precision, Pass pass);  // of one fc alone
Cost block_cost(const BlockSize& size, Precision precision, Pass pass);
// The whole training step: forward, mean squared error, backward, AdamW.
Cost step_cost(const NetworkConfig& config, int64_t batch, int64_t parameters, Precision precision);

}  // namespace sinew::tools
