// y[b, o] = bias[o] + sum_j w[o, j] x[b, table[o, j]]       x (..., n_in), y (..., n_out)
// dx[b, i] = sum of w[e] dy[b, e / k] over the edges e that read i (reverse table: a gather, so it
// needs no atomics and has one fixed order); dw[o, j] = sum_b dy[b, o] x[b, table[o, j]].
// db[o] = sum_b dy[b, o], by the kernel of dw. The first three are bilinear and each
// other's adjoints, so any order of derivative stays in the family. Saved: x, w. Memory O(B n): no
// (B, n, k) temporary. Source: ../docs/geo-sparse.md.
#include "geo/geo_linear.h"

#include <algorithm>

#include "core/dispatch.h"
#include "sinew/geo.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

constexpr int64_t most_parts = 16;  // of the rows, on the CPU, with sums of their own

int64_t rows_of(const Tensor& x) { return x.dim(-1) == 0 ? 0 : x.numel() / x.dim(-1); }

Tensor weight_gradient(const Tensor& x, const Tensor& dy, const SharedConnectivity& c,
                       Tensor* db = nullptr);

Tensor gather(GeoDirection direction, const Tensor& x, const Tensor& w, const Tensor& bias,
              const SharedConnectivity& c, DType y_dtype) {
  const bool forward = direction == GeoDirection::forward;
  const int64_t n_y = forward ? c->n_out : c->n_in;
  const Tensor y(x.shape().with(-1, n_y), y_dtype);
  GeoGatherArgs args{};
  args.direction = direction;
  args.x_dtype = x.dtype();
  args.y_dtype = y_dtype;
  args.x = pointer(x);
  args.w = pointer(w);
  args.bias = pointer(bias);
  args.y = pointer(y);
  args.rows = rows_of(x);
  args.n_x = x.dim(-1);
  args.n_y = n_y;
  args.k = c->k;
  Tensor scratch, reverse_w;
  if (device() == Device::cuda) {
    args.side = geo_tables_on_gpu(*c, direction);
  } else {
    args.table = c->table.data();
    args.reverse_start = c->reverse_start.data();
    args.reverse_edge = c->reverse_edge.data();
    args.reverse_source = c->reverse_source.data();
    const int64_t threads = std::min<int64_t>((args.rows + 63) / 64, context().threads);
    scratch = Tensor({threads * args.n_x * 64}, x.dtype());
    args.scratch = pointer(scratch);
    if (!forward) reverse_w = Tensor(w.shape(), w.dtype());
    args.reverse_w = pointer(reverse_w);
  }
  on(y, [args, c](auto& device) { geo_gather(device, args); });
  return y;
}

// dx for dy; its own adjoints are the forward (in dy) and the weight gradient (in w).
Tensor reverse(const Tensor& dy, const Tensor& w, const SharedConnectivity& c, DType dx_dtype) {
  Tensor dx = gather(GeoDirection::reverse, dy, w, {}, c, dx_dtype);
  record(dx, {dy, w}, [=](const Tensor& g, Cotangents& out) {
    if (out.needs(0)) out.add(0, geo_linear(g, w, {}, c, dy.dtype()));
    if (out.needs(1)) out.add(1, weight_gradient(g, dy, c));
  });
  return dx;
}

// With `db` the sum of dy over the rows too, since the kernel reads it.
Tensor weight_gradient(const Tensor& x, const Tensor& dy, const SharedConnectivity& c, Tensor* db) {
  const int64_t rows = rows_of(x);
  Tensor dw({c->n_out, c->k}, arithmetic(x.dtype())), scratch, partial;
  GeoWeightArgs args{};
  args.x_dtype = x.dtype();
  args.dy_dtype = dy.dtype();
  args.x = pointer(x);
  args.dy = pointer(dy);
  args.dw = pointer(dw);
  args.rows = rows;
  args.n_in = c->n_in;
  args.n_out = c->n_out;
  args.k = c->k;
  if (db) {
    *db = Tensor({c->n_out}, dw.dtype());
    args.db = pointer(*db);
  }
  if (device() == Device::cuda) {
    args.side = geo_tables_on_gpu(*c, GeoDirection::forward);
    const int64_t slices = geo_slices(rows, c->n_out, c->k).count;
    if (slices > 1) partial = Tensor({slices * c->n_out * (c->k + 1)}, DType::f32);
  } else {
    args.table = c->table.data();
    const int64_t tiles = (rows + 63) / 64, threads = std::min<int64_t>(tiles, context().threads);
    args.parts = std::clamp<int64_t>(tiles, 1, most_parts);
    scratch = Tensor({threads * (c->n_in + c->n_out) * 64}, x.dtype());
    partial = Tensor({args.parts * c->n_out * (c->k + 1)}, x.dtype());
    args.scratch = pointer(scratch);
  }
  args.partial = pointer(partial);
  on(dw, [args, c](auto& device) { geo_weight_gradient(device, args); });
  record(dw, {x, dy}, [=](const Tensor& g, Cotangents& out) {
    if (out.needs(0)) out.add(0, reverse(dy, g, c, x.dtype()));
    if (out.needs(1)) out.add(1, geo_linear(x, g, {}, c, dy.dtype()));
  });
  if (db)
    record(*db, {dy}, [shape = dy.shape(), type = dy.dtype()](const Tensor& g, Cotangents& out) {
      out.add(0, cast(broadcast_to(g, shape), type));
    });
  return dw;
}

Tensor row_sum(const Tensor& dy) {
  return sum(reshape(cast(dy, arithmetic(dy.dtype())), {rows_of(dy), dy.dim(-1)}), {0});
}

void check_y_type(const char* op, const Tensor& x, DType y_dtype) {
  if (device() == Device::cpu)
    require(
        y_dtype == x.dtype(), op,
        std::string("y has x's type on the cpu (") + name(x.dtype()) + ", " + name(y_dtype) + ")");
  else
    require(y_dtype == DType::f32 || y_dtype == DType::bf16, op,
            std::string("y needs f32 or bf16 (") + name(y_dtype) + ")");
}

}  // namespace

Tensor geo_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const SharedConnectivity& connectivity, std::optional<DType> y_dtype) {
  const char* op = "geo_linear";
  require(connectivity != nullptr, op, "no connectivity");
  const Connectivity& c = *connectivity;
  require_real(op, x);
  const DType y_type = y_dtype.value_or(x.dtype());
  require_parameter(op, x, weight);
  check_y_type(op, x, y_type);
  require(x.rank() >= 2, op, "x needs at least two axes " + x.shape().str());
  require(x.dim(-1) == c.n_in, op,
          "x " + x.shape().str() + " has not " + std::to_string(c.n_in) + " features");
  require(weight.shape() == Shape({c.n_out, c.k}), op,
          "weight " + weight.shape().str() + " is not " + Shape({c.n_out, c.k}).str());
  if (bias.defined()) {
    require_parameter(op, x, bias);
    require(bias.shape() == Shape({c.n_out}), op,
            "bias " + bias.shape().str() + " is not " + Shape({c.n_out}).str());
  }
  Tensor y = gather(GeoDirection::forward, x, weight, bias, connectivity, y_type);
  record(y, {x, weight, bias}, [x, weight, connectivity](const Tensor& dy, Cotangents& dx) {
    if (dx.needs(0)) dx.add(0, reverse(dy, weight, connectivity, x.dtype()));
    Tensor db;
    if (dx.needs(1)) dx.add(1, weight_gradient(x, dy, connectivity, dx.needs(2) ? &db : nullptr));
    if (dx.needs(2)) dx.add(2, db.defined() ? db : row_sum(dy));
  });
  return y;
}

}  // namespace sinew
