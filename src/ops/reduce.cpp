// Reductions along axes: neighbouring reduced axes merge into one (outer, r, inner) pass each.
// sum: dx = dy broadcast. mean: the same over r. max, min: dy shared equally among the ties.
// Saved: nothing for sum and mean, x and y for max and min.
#include "ops/reduce.h"

#include <algorithm>

#include "core/dispatch.h"
#include "cuda/tile.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

// The axes as sorted, distinct, non-negative numbers; all of them for an empty list.
std::vector<int> normalise(const char* op, const Tensor& x, const std::vector<int>& axes) {
  std::vector<int> out;
  for (int axis : axes) out.push_back(x.shape().axis(axis));
  if (axes.empty())
    for (int d = 0; d < x.rank(); ++d) out.push_back(d);
  std::sort(out.begin(), out.end());
  require(std::adjacent_find(out.begin(), out.end()) == out.end(), op, "an axis is given twice");
  return out;
}

// Runs the kernel; partial results of an argmax on CUDA are pairs of value and index.
void run(ReduceOp op, const Tensor& x, const Tensor& y, int64_t r, int64_t inner) {
  const int64_t outer = inner == 0 ? 0 : y.numel() / inner;
  int64_t pieces = 1;
  if (device() == Device::cuda)
    pieces = pieces_of(outer, r, inner);
  else if (op == ReduceOp::sum && inner == 1 && r > 0)
    pieces = (r + reduce_piece - 1) / reduce_piece;
  Tensor partial;
  if (pieces > 1)
    partial =
        Tensor({outer * pieces * inner, op == ReduceOp::argmax ? 2 : 1}, arithmetic(x.dtype()));
  const ReduceArgs args{op,    x.dtype(), y.dtype(), pointer(x), pointer(y), pointer(partial),
                        outer, r,         inner,     pieces};
  on(y, [=](auto& device) { reduce(device, args); });
}

// Reduces axes [first, last] of x to size 1.
Tensor pass(ReduceOp op, const Tensor& x, int first, int last, DType y_type) {
  Shape shape = x.shape();
  int64_t r = 1, inner = 1;
  for (int d = first; d < x.rank(); ++d) {
    (d > last ? inner : r) *= x.shape()[d];
    if (d <= last) shape = shape.with(d, 1);
  }
  const Tensor y(shape, y_type);
  run(op, x, y, r, inner);
  return y;
}

// Reduces the axes one run of neighbours at a time; they stay with size 1. A sum is rounded to
// x's type once, at the end.
Tensor reduce_axes(ReduceOp op, const Tensor& x, const std::vector<int>& axes) {
  Tensor y = x.detach();
  for (size_t end = axes.size(); end > 0;) {
    size_t begin = end - 1;
    while (begin > 0 && axes[begin - 1] == axes[begin] - 1) --begin;
    const bool between = op == ReduceOp::sum && begin > 0;
    y = pass(op, y, axes[begin], axes[end - 1], between ? arithmetic(x.dtype()) : x.dtype());
    end = begin;
  }
  return y;
}

Shape reduced_shape(const Shape& kept, const std::vector<int>& axes, Keep keep) {
  if (keep == Keep::dims) return kept;
  std::vector<int64_t> sizes;
  for (int d = 0; d < kept.rank(); ++d)
    if (!std::binary_search(axes.begin(), axes.end(), d)) sizes.push_back(kept[d]);
  return Shape(sizes);
}

Tensor extreme(const char* name, ReduceOp op, const Tensor& x, const std::vector<int>& axes,
               Keep keep) {
  require_real(name, x);
  const std::vector<int> over = normalise(name, x, axes);
  for (int axis : over)
    require(x.shape()[axis] > 0, name, "no elements along a reduced axis " + x.shape().str());
  const Tensor kept = reduce_axes(op, x, over);
  Tensor y = kept.view(reduced_shape(kept.shape(), over, keep));
  record(y, {x}, [x, kept, over](const Tensor& dy, Cotangents& dx) {
    const Tensor ties = cast(equal(x.detach(), kept), x.dtype());
    dx.add(0, mul(div(ties, sum(ties, over, Keep::dims)), reshape(dy, kept.shape())));
  });
  return y;
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& axes, Keep keep) {
  require_real("sum", x);
  const std::vector<int> over = normalise("sum", x, axes);
  const Tensor kept = reduce_axes(ReduceOp::sum, x, over);
  Tensor y = kept.view(reduced_shape(kept.shape(), over, keep));
  record(y, {x}, [kept_shape = kept.shape(), shape = x.shape()](const Tensor& dy, Cotangents& dx) {
    dx.add(0, broadcast_to(reshape(dy, kept_shape), shape));
  });
  return y;
}

Tensor mean(const Tensor& x, const std::vector<int>& axes, Keep keep) {
  const Tensor total = sum(x, axes, keep);
  require(x.numel() > 0, "mean", "no elements " + x.shape().str());
  return affine(total, static_cast<double>(total.numel()) / static_cast<double>(x.numel()), 0);
}

Tensor max(const Tensor& x, const std::vector<int>& axes, Keep keep) {
  return extreme("max", ReduceOp::max, x, axes, keep);
}

Tensor min(const Tensor& x, const std::vector<int>& axes, Keep keep) {
  return extreme("min", ReduceOp::min, x, axes, keep);
}

Tensor argmax(const Tensor& x) {
  require_real("argmax", x);
  require(x.rank() >= 1 && x.dim(-1) > 0, "argmax",
          "no elements to choose from " + x.shape().str());
  Tensor y(x.shape().without(-1), DType::i32);
  run(ReduceOp::argmax, x, y, x.dim(-1), 1);
  return y;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  std::vector<int> axes;
  const int extra = x.rank() - shape.rank();
  require(extra >= 0 && broadcast("sum_to", x.shape(), shape) == x.shape(), "sum_to",
          x.shape().str() + " is not a broadcast of " + shape.str());
  for (int d = 0; d < x.rank(); ++d)
    if (d < extra || (shape[d - extra] == 1 && x.shape()[d] != 1)) axes.push_back(d);
  if (axes.empty()) return x;
  return reshape(sum(x, axes, Keep::dims), shape);
}

}  // namespace sinew
