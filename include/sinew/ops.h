// Dense ops. Every op checks shapes and dtypes (throws `op: fact (values)`), leaves its inputs as
// they are, and is recorded on the active tape. An op that has nothing to do returns its input.
// Types unless said otherwise: f32 and f64 on the CPU, f32 and bf16 on cuda. They are not mixed,
// but that on cuda an f32 parameter beside bf16 activations gives bf16. Binary ops broadcast as
// NumPy does; their gradients are summed back over broadcast axes.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "sinew/tensor.h"

namespace sinew {

// --- elementwise, one input -----------------------------------------------------------------
Tensor neg(const Tensor& x);       // -x
Tensor abs(const Tensor& x);       // |x|; derivative sign(x), 0 at 0
Tensor exp(const Tensor& x);       // e^x
Tensor log(const Tensor& x);       // ln x
Tensor sqrt(const Tensor& x);      // x^(1/2)
Tensor square(const Tensor& x);    // x^2
Tensor sin(const Tensor& x);       // sin x, x in radians
Tensor cos(const Tensor& x);       // cos x
Tensor tanh(const Tensor& x);      // tanh x
Tensor relu(const Tensor& x);      // max(x, 0); derivative 0 at 0
Tensor gelu(const Tensor& x);      // x Phi(x), exact: x/2 (1 + erf(x / sqrt 2))
Tensor sigmoid(const Tensor& x);   // 1 / (1 + e^-x)
Tensor softplus(const Tensor& x);  // ln(1 + e^x); x itself for x > 20, as in PyTorch
Tensor affine(const Tensor& x, double scale, double shift);  // scale x + shift
Tensor pow(const Tensor& x, double exponent);                // x^exponent
Tensor clamp(const Tensor& x, double low, double high);      // derivative 1 where low <= x <= high

// --- elementwise, two inputs ----------------------------------------------------------------
Tensor add(const Tensor& a, const Tensor& b);      // a + b
Tensor sub(const Tensor& a, const Tensor& b);      // a - b
Tensor mul(const Tensor& a, const Tensor& b);      // a b
Tensor div(const Tensor& a, const Tensor& b);      // a / b
Tensor pow(const Tensor& a, const Tensor& b);      // a^b, for a > 0 (d/db needs ln a)
Tensor minimum(const Tensor& a, const Tensor& b);  // NaN wins; a tie halves the gradient
Tensor maximum(const Tensor& a, const Tensor& b);  // likewise
Tensor less(const Tensor& a, const Tensor& b);     // u8: 1 where a < b; no gradient
Tensor equal(const Tensor& a, const Tensor& b);    // u8: 1 where a == b; no gradient
// cond ? a : b, cond u8 of any shape that broadcasts with a and b.
Tensor where(const Tensor& cond, const Tensor& a, const Tensor& b);
// To another element type, rounding to nearest even for bf16, truncating to i32 and u8.
// Gradients are cast back.
Tensor cast(const Tensor& x, DType dtype);

// --- reductions; an empty list of axes means all --------------------------------------------
// Sums run in a fixed order that does not depend on the number of threads.
enum class Keep : uint8_t { drop, dims };  // drop the reduced axes, or keep them with size 1
Tensor sum(const Tensor& x, const std::vector<int>& axes = {}, Keep keep = Keep::drop);
Tensor mean(const Tensor& x, const std::vector<int>& axes = {}, Keep keep = Keep::drop);
// Largest and smallest element; the gradient is shared equally among ties; NaN wins.
Tensor max(const Tensor& x, const std::vector<int>& axes = {}, Keep keep = Keep::drop);
Tensor min(const Tensor& x, const std::vector<int>& axes = {}, Keep keep = Keep::drop);
Tensor argmax(const Tensor& x);  // i32, over the last axis, first of equals; no gradient
// Sums x over the axes in which `shape` has size 1 or lacks the axis: the adjoint of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);
Tensor broadcast_to(const Tensor& x, const Shape& shape);

// --- matmul ---------------------------------------------------------------------------------
enum class Trans : uint8_t { no, yes };
// op(a) op(b) [+ bias], a (m, k) and b (k, n) after the transposes, bias (n). Both of rank 2,
// except that an untransposed a may have leading axes: (..., k) -> (..., n). y is of a's type.
// On cuda a, b and y may each be f32 or bf16, and bias is f32; where any of the three is bf16, f32
// operands are rounded to it first (and bias, if y is bf16). Sums are in f32, with TF32 factors if
// device.h says so. da is of a's type, db of b's.
Tensor matmul(const Tensor& a, const Tensor& b, Trans trans_a = Trans::no,
              Trans trans_b = Trans::no, const Tensor& bias = {},
              std::optional<DType> y_dtype = {});

// --- shape ----------------------------------------------------------------------------------
Tensor reshape(const Tensor& x, const Shape& shape);            // shares storage
Tensor permute(const Tensor& x, const std::vector<int>& axes);  // out.dim(i) = x.dim(axes[i])
// The elements first .. first + count - 1 along an axis.
Tensor slice(const Tensor& x, int axis, int64_t first, int64_t count);
// The parts one after another along an axis; their other sizes are equal.
Tensor concat(const std::vector<Tensor>& parts, int axis);
// Rows of the leading axis: out[i] = x[index[i]], index i32 (m). Throws if out of range; that check
// waits for a GPU. Without it a row out of range is NaN (0xFF bytes).
enum class IndexCheck : uint8_t { no, yes };
Tensor gather(const Tensor& x, const Tensor& index, IndexCheck check = IndexCheck::yes);
// The adjoint: out (rows, ...) starts at 0, out[index[i]] += x[i], in the order of i.
Tensor scatter_add(const Tensor& x, const Tensor& index, int64_t rows);

// --- softmax, norms, losses -----------------------------------------------------------------
Tensor softmax(const Tensor& x);      // over the last axis, shifted by the row's maximum
Tensor log_softmax(const Tensor& x);  // over the last axis
// x / sqrt(mean(x^2) + eps) * scale over the last axis; scale (n).
Tensor rms_norm(const Tensor& x, const Tensor& scale, double eps = 1e-6);
// (x - mean) / sqrt(var + eps) * weight + bias over the last axis; population variance.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);
// Mean over rows of -log_softmax(logits)[label]; logits (..., classes), labels i32 (...). The loss
// of bf16 logits is f32.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);
// Means over all elements; prediction and target of one shape.
Tensor mse(const Tensor& prediction, const Tensor& target);  // (p - t)^2
Tensor l1(const Tensor& prediction, const Tensor& target);   // |p - t|
// d^2 / (2 beta) where |d| < beta, else |d| - beta / 2.
Tensor smooth_l1(const Tensor& prediction, const Tensor& target, double beta = 1.0);
// d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2).
Tensor huber(const Tensor& prediction, const Tensor& target, double delta = 1.0);

// --- the sine activation ----------------------------------------------------------------------
// y = A exp(-d g(z)) sin(f z + phi), one A, f, d, phi per feature (the last axis of z, size n):
//   A = softplus(raw_amplitude), f = softplus(raw_frequency) + 1e-6, d = softplus(raw_decay), each
//   then limited to its bounds (derivative 0 outside); g(z) = |z|, max(z, 0) or 0; phi raw.
// Raw vectors (n); phase may be undefined (0). Gradients for z and every raw vector.
enum class Decay : uint8_t { abs, relu, none };
struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  friend bool operator==(const Bounds&, const Bounds&) = default;
};
struct SineOptions {
  Decay decay = Decay::abs;
  Bounds amplitude_bounds, frequency_bounds, decay_bounds;
  std::optional<DType> y_dtype;  // z's if unset; on cuda f32 or bf16, whatever z's is
  friend bool operator==(const SineOptions&, const SineOptions&) = default;
};
Tensor sine(const Tensor& z, const Tensor& raw_amplitude, const Tensor& raw_frequency,
            const Tensor& raw_decay, const Tensor& phase = {}, const SineOptions& options = {});

// --- random masks (Philox stream of this thread, see random.h) --------------------------------
// x * mask / (1 - p), each element kept with probability 1 - p; p in [0, 1).
Tensor dropout(const Tensor& x, double p);
// The same with one decision per element of the leading axis (stochastic depth).
Tensor drop_path(const Tensor& x, double p);

// --- in-place updates of flat parameter blocks (see optim.h); not recorded ---------------------
// p, g, m, v, velocity are vectors of one length and dtype. `clock`, f64 (2), holds {learning rate,
// steps taken} and lives on the device: the update reads the rate and adds 1 to the steps, so that
// a replayed Step follows a rate that was set after it had been recorded. `go`, f64 of one element
// on the device, may be undefined; where it is 0 the update changes nothing, nor the clock.
struct AdamSettings {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double decay = 0;            // L2: g + decay p in place of g
  double decoupled_decay = 0;  // p (1 - rate decoupled_decay) in place of p
  Tensor go = {};
};
// With t steps taken, this one included: m += (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g^2;
// p -= rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
void adam_update(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, Tensor& clock,
                 const AdamSettings& settings);
struct SgdSettings {
  double momentum = 0.9;
  double decay = 0;  // L2: g + decay p in place of g
  Tensor go = {};
};
// velocity = momentum velocity + g; p -= rate velocity. Undefined velocity: p -= rate g.
void sgd_update(Tensor& p, const Tensor& g, Tensor& velocity, Tensor& clock,
                const SgdSettings& settings);
// g *= min(1, max_norm / (norm + 1e-6)), norm a scalar on the device; as in PyTorch.
void clip_update(Tensor& g, const Tensor& norm, double max_norm);

// What a step does whose loss or gradient norm is not finite: end the training, leave the weights
// as they are, or update them all the same. All are counted.
enum class OnNonfinite : uint8_t { stop, skip, ignore };
// What a training asks of its steps, kept on the device so that nobody waits: f64 (9) {go, steps,
// sum of loss * rows, rows, losses and norms not finite, sum of the finite norms, the largest,
// their number}, before the first step {1, 0, ...}. Adds a step whose loss and norm are scalars of
// one dtype, f32 or f64. `go` is for the update after it. A step that is not finite has go = 0 and
// its loss is not summed, but with `ignore`. With `stop` go stays 0 from it on, and it and later
// steps are not counted: so `steps` tells which it was.
void tally_update(Tensor& tally, const Tensor& loss, const Tensor& norm, int64_t rows,
                  OnNonfinite choice);

// flat, a vector, = the elements of all parts, one part after the other, in one kernel. Throws
// unless dtypes are the same and the elements as many.
void pack(Tensor& flat, const std::vector<Tensor>& parts);

}  // namespace sinew
