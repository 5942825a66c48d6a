// rms_norm: y = x / sqrt(mean(x^2) + eps) * scale. Zhang and Sennrich, NeurIPS 2019.
// layer_norm: y = (x - mean) / sqrt(var + eps) * weight + bias. Ba, Kiros, Hinton, 2016.
// One fused kernel each way for both. Saved: x, the parameters, and mean and 1/sqrt of each row.
// Higher orders: through the composed forms below.
#include "ops/norm.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

Tensor composed(bool centred, double eps, const std::vector<Tensor>& in) {
  const Tensor x = cast(in[0], in[1].dtype());
  const Tensor d = centred ? sub(x, mean(x, {-1}, Keep::dims)) : x;
  const Tensor root = sqrt(affine(mean(square(d), {-1}, Keep::dims), 1, eps));
  const Tensor y = mul(div(d, root), in[1]);
  return cast(centred ? add(y, in[2]) : y, in[0].dtype());
}

void check(const char* op, const Tensor& x, const Tensor& parameter, const char* which) {
  require_real(op, x);
  require_parameter(op, x, parameter);
  require(x.rank() >= 1 && x.dim(-1) > 0, op, "no last axis to normalise: " + x.shape().str());
  require(parameter.shape() == Shape{x.dim(-1)}, op,
          std::string(which) + " is " + parameter.shape().str() + " for x " + x.shape().str());
}

// in: x, weight and, where the norm centres, bias.
Tensor normalise(const char* op, const std::vector<Tensor>& in, double eps) {
  require(eps >= 0, op, "eps is negative (" + std::to_string(eps) + ")");
  const bool centred = in.size() == 3;
  const Tensor &x = in[0], &weight = in[1], bias = centred ? in[2] : Tensor();
  const int64_t n = x.dim(-1), rows = x.numel() / n;
  Tensor y(x.shape(), x.dtype()), stats({rows, 2}, weight.dtype());
  const NormArgs args{
      x.dtype(), centred, pointer(x), pointer(weight), pointer(bias), pointer(y), pointer(stats),
      rows,      n,       eps};
  on(y, [=](auto& device) { norm(device, args); });

  record(y, in, [=](const Tensor& dy, Cotangents& dx) {
    if (Tape::active()) {
      const auto f = [=](const std::vector<Tensor>& v) { return composed(centred, eps, v); };
      const std::vector<Tensor> g = composed_gradients(f, in, dy);
      for (size_t i = 0; i < g.size(); ++i)
        if (g[i].defined()) dx.add(static_cast<int>(i), g[i]);
      return;
    }
    const int64_t chunks =
        device() == Device::cuda ? norm_chunks_on_cuda(rows) : (rows + norm_chunk - 1) / norm_chunk;
    const DType sums = in[1].dtype();
    const Tensor out(in[0].shape(), dy.dtype()), dparameters({2, n}, sums);
    const Tensor partial({chunks, 2, n}, sums);
    const NormBackwardArgs back{
        dy.dtype(),  centred,      pointer(in[0]),       pointer(in[1]),   pointer(stats),
        pointer(dy), pointer(out), pointer(dparameters), pointer(partial), rows,
        n,           chunks};
    on(out, [=](auto& device) { norm_backward(device, back); });
    dx.add(0, out);
    dx.add(1, dparameters.view(0, {n}));
    if (centred) dx.add(2, dparameters.view(n, {n}));
  });
  return y;
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& scale, double eps) {
  check("rms_norm", x, scale, "scale");
  return normalise("rms_norm", {x, scale}, eps);
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check("layer_norm", x, weight, "weight");
  check("layer_norm", x, bias, "bias");
  return normalise("layer_norm", {x, weight, bias}, eps);
}

}  // namespace sinew
