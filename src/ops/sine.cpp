// y = A exp(-d g(z)) sin(f z + phi), A, f, d from raw vectors by softplus and bounds.
// z (..., n), parameters (n). Saved: z, y and c = A exp(-d g) cos(f z + phi) (only under a tape),
// so that the backward evaluates no transcendental function. z may be f32, for the phase's sake,
// where y and c are bf16.
#include "ops/sine.h"

#include <cmath>

#include "core/dispatch.h"
#include "cuda/tile.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

struct Inputs {
  Tensor z, amplitude, frequency, decay, phase;
};

SineParameters raw_parameters(const Inputs& in, const SineOptions& o) {
  const auto bound = [](const Bounds& b) { return SineBound{b.low, b.high}; };
  return {pointer(in.amplitude), pointer(in.frequency),     pointer(in.decay),
          pointer(in.phase),     bound(o.amplitude_bounds), bound(o.frequency_bounds),
          bound(o.decay_bounds), static_cast<int>(o.decay)};
}

// softplus(raw) + floor inside the bounds, by public ops.
Tensor effective(const Tensor& raw, double floor, const Bounds& bounds) {
  const Tensor v = affine(softplus(raw), 1, floor);
  const bool unbounded = bounds.low == -INFINITY && bounds.high == INFINITY;
  return unbounded ? v : clamp(v, bounds.low, bounds.high);
}

Tensor composed(const Inputs& in, const SineOptions& options) {
  const Tensor a = effective(in.amplitude, 0, options.amplitude_bounds);
  const Tensor f = effective(in.frequency, 1e-6, options.frequency_bounds);
  const Tensor d = effective(in.decay, 0, options.decay_bounds);
  const Tensor z = cast(in.z, f.dtype());
  Tensor angle = mul(f, z);
  if (in.phase.defined()) angle = add(angle, in.phase);
  Tensor y = mul(a, sin(angle));
  if (options.decay != Decay::none) {
    const Tensor g = options.decay == Decay::abs ? abs(z) : relu(z);
    y = mul(y, exp(neg(mul(d, g))));
  }
  return cast(y, options.y_dtype.value_or(in.z.dtype()));
}

void backward(const Inputs& in, const SineOptions& options, const Tensor& y, const Tensor& c,
              const Tensor& effective, const Tensor& dy, Cotangents& dx) {
  const int64_t n = in.z.dim(-1), rows = n == 0 ? 0 : in.z.numel() / n;
  const bool wants_raw = dx.needs(1) || dx.needs(2) || dx.needs(3) || dx.needs(4);
  const int64_t chunks =
      device() == Device::cuda ? pieces_of(1, rows, n) : (rows + sine_chunk - 1) / sine_chunk;
  Tensor dz, d_raw, partial;
  if (dx.needs(0)) dz = Tensor(y.shape(), in.z.dtype());
  if (wants_raw) {
    d_raw = Tensor({4, n}, effective.dtype());
    partial = Tensor({4, chunks, n}, effective.dtype());
  }
  const SineBackwardArgs args{in.z.dtype(),
                              y.dtype(),
                              raw_parameters(in, options),
                              pointer(in.z),
                              pointer(y),
                              pointer(c),
                              pointer(dy),
                              pointer(effective),
                              pointer(dz),
                              pointer(d_raw),
                              pointer(partial),
                              rows,
                              n,
                              chunks};
  on(y, [=](auto& device) { sine_backward(device, args); });
  if (dz.defined()) dx.add(0, dz);
  for (int k = 0; k < 4; ++k)
    if (dx.needs(k + 1)) dx.add(k + 1, d_raw.view(k * n, {n}));
}

}  // namespace

Tensor sine(const Tensor& z, const Tensor& raw_amplitude, const Tensor& raw_frequency,
            const Tensor& raw_decay, const Tensor& phase, const SineOptions& options) {
  require_real("sine", z);
  require(z.rank() >= 1, "sine", "z needs a feature axis");
  const int64_t n = z.dim(-1);
  for (const Tensor& p : {raw_amplitude, raw_frequency, raw_decay}) require_defined("sine", p);
  for (const Tensor& p : {raw_amplitude, raw_frequency, raw_decay, phase}) {
    if (!p.defined()) continue;
    require_parameter("sine", z, p);
    require(p.shape() == Shape({n}), "sine",
            "parameter " + p.shape().str() + " for " + std::to_string(n) + " features");
  }
  for (const Bounds& b : {options.amplitude_bounds, options.frequency_bounds, options.decay_bounds})
    require(b.low <= b.high, "sine", "a low bound is above its high one");
  const DType y_type = options.y_dtype.value_or(z.dtype());
  const bool narrow = device() == Device::cuda && (y_type == DType::f32 || y_type == DType::bf16);
  require(narrow || y_type == z.dtype(), "sine",
          std::string("y cannot be ") + name(y_type) + " for z of " + name(z.dtype()) + " on " +
              name(device()));
  const Inputs in{z, raw_amplitude, raw_frequency, raw_decay, phase};
  Tensor y(z.shape(), y_type), effective({4, n}, raw_amplitude.dtype()), c;
  const std::vector<Tensor> inputs{z, raw_amplitude, raw_frequency, raw_decay, phase};
  if (Tape* tape = Tape::active())
    for (const Tensor& t : inputs)
      if (tape->tracks(t) && !c.defined()) c = Tensor(z.shape(), y_type);
  const SineForwardArgs args{
      z.dtype(),  y_type,     raw_parameters(in, options), pointer(z),
      pointer(y), pointer(c), pointer(effective),          n == 0 ? 0 : z.numel() / n,
      n};
  on(y, [=](auto& device) { sine_forward(device, args); });
  record(y, inputs, [=, saved = y.detach()](const Tensor& dy, Cotangents& dx) {
    if (!Tape::active()) return backward(in, options, saved, c, effective, dy, dx);
    const auto f = [=](const std::vector<Tensor>& t) {
      return composed({t[0], t[1], t[2], t[3], t[4]}, options);
    };
    const std::vector<Tensor> g = composed_gradients(f, inputs, dy);
    for (int k = 0; k < 5; ++k)
      if (dx.needs(k)) dx.add(k, g[static_cast<size_t>(k)]);
  });
  return y;
}

}  // namespace sinew
