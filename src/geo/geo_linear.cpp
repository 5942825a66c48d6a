// y[b, o] = bias[o] + sum_j w[o, j] x[b, table[o, j]]       x (..., n_in), y (..., n_out)
// dx[b, i] = sum of w[e] dy[b, e / k] over the edges e that read i (reverse table: a gather, so it
// needs no atomics and has one fixed order); dw[o, j] = sum_b dy[b, o] x[b, table[o, j]].
// The three are bilinear and each other's adjoints, so any order of derivative stays in the family.
// Saved: x, w. Memory O(B n): no (B, n, k) temporary. Source: ../docs/geo-sparse.md.
#include "geo/geo_linear.h"

#include <algorithm>

#include "core/dispatch.h"
#include "sinew/geo.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

int64_t rows_of(const Tensor& x) { return x.dim(-1) == 0 ? 0 : x.numel() / x.dim(-1); }

Tensor weight_gradient(const Tensor& x, const Tensor& dy, const SharedConnectivity& c);

Tensor gather(GeoDirection direction, const Tensor& x, const Tensor& w, const Tensor& bias,
              const SharedConnectivity& c) {
  const bool forward = direction == GeoDirection::forward;
  const int64_t n_y = forward ? c->n_out : c->n_in, rows = rows_of(x);
  Tensor y(x.shape().with(-1, n_y), x.dtype());
  const int64_t tiles = (rows + 63) / 64;
  const int64_t slots = std::min<int64_t>(tiles, context().threads);
  const Tensor scratch({slots * x.dim(-1) * 64}, x.dtype());
  const GeoGatherArgs args{direction,
                           x.dtype(),
                           pointer(x),
                           pointer(w),
                           pointer(bias),
                           pointer(y),
                           rows,
                           x.dim(-1),
                           n_y,
                           c->k,
                           c->table.data(),
                           c->reverse_start.data(),
                           c->reverse_edge.data(),
                           pointer(scratch),
                           slots};
  on(y, [args, c](auto& device) { geo_gather(device, args); });
  return y;
}

// dx for dy; its own adjoints are the forward (in dy) and the weight gradient (in w).
Tensor reverse(const Tensor& dy, const Tensor& w, const SharedConnectivity& c) {
  Tensor dx = gather(GeoDirection::reverse, dy, w, {}, c);
  record(dx, {dy, w}, [=](const Tensor& g, Cotangents& out) {
    if (out.needs(0)) out.add(0, geo_linear(g, w, {}, c));
    if (out.needs(1)) out.add(1, weight_gradient(g, dy, c));
  });
  return dx;
}

Tensor weight_gradient(const Tensor& x, const Tensor& dy, const SharedConnectivity& c) {
  Tensor dw({c->n_out, c->k}, x.dtype());
  const int64_t rows = rows_of(x);
  const Tensor scratch({(c->n_in + c->n_out) * ((rows + 63) / 64 * 64)}, x.dtype());
  const GeoWeightArgs args{x.dtype(), pointer(x), pointer(dy), pointer(dw),     rows,
                           c->n_in,   c->n_out,   c->k,        c->table.data(), pointer(scratch)};
  on(dw, [args, c](auto& device) { geo_weight_gradient(device, args); });
  record(dw, {x, dy}, [=](const Tensor& g, Cotangents& out) {
    if (out.needs(0)) out.add(0, reverse(dy, g, c));
    if (out.needs(1)) out.add(1, geo_linear(x, g, {}, c));
  });
  return dw;
}

}  // namespace

Tensor geo_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const SharedConnectivity& connectivity) {
  const char* op = "geo_linear";
  require(connectivity != nullptr, op, "no connectivity");
  const Connectivity& c = *connectivity;
  require_real(op, x);
  require_real(op, weight);
  require_same_dtype(op, x, weight);
  require(x.rank() >= 2, op, "x needs at least two axes " + x.shape().str());
  require(x.dim(-1) == c.n_in, op,
          "x " + x.shape().str() + " has not " + std::to_string(c.n_in) + " features");
  require(weight.shape() == Shape({c.n_out, c.k}), op,
          "weight " + weight.shape().str() + " is not " + Shape({c.n_out, c.k}).str());
  if (bias.defined()) {
    require_same_dtype(op, x, bias);
    require(bias.shape() == Shape({c.n_out}), op,
            "bias " + bias.shape().str() + " is not " + Shape({c.n_out}).str());
  }
  Tensor y = gather(GeoDirection::forward, x, weight, bias, connectivity);
  record(y, {x, weight, bias}, [x, weight, connectivity](const Tensor& dy, Cotangents& dx) {
    if (dx.needs(0)) dx.add(0, reverse(dy, weight, connectivity));
    if (dx.needs(1)) dx.add(1, weight_gradient(x, dy, connectivity));
    if (dx.needs(2))
      dx.add(2, sum(dy.rank() == 2 ? dy : reshape(dy, {rows_of(dy), dy.dim(-1)}), {0}));
  });
  return y;
}

}  // namespace sinew
