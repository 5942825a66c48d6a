// Ops that move elements, all by the strided copy kernel (reshape only shares storage), and cast.
// Backward: reshape <-> reshape, permute <-> inverse permute, slice <-> placing into zeros,
// concat <-> slices, broadcast_to <-> sum_to, cast <-> cast. Saved: shapes only.
#include "core/dispatch.h"
#include "ops/copy.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

struct Strides {
  int64_t at[Shape::max_rank] = {};
};

Strides contiguous(const Shape& shape) {
  Strides s;
  int64_t stride = 1;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    s.at[d] = stride;
    stride *= shape[d];
  }
  return s;
}

// Copies elements indexed by `sizes`: x at offset + x_strides, y likewise.
void copy_elements(const Shape& sizes, const Tensor& x, int64_t x_offset, const Strides& x_strides,
                   const Tensor& y, int64_t y_offset, const Strides& y_strides) {
  const int64_t bytes = size_of(x.dtype());
  CopyArgs args{bytes,
                static_cast<const char*>(pointer(x)) + x_offset * bytes,
                static_cast<char*>(pointer(y)) + y_offset * bytes,
                0,
                {},
                {},
                {}};
  for (int d = 0; d < sizes.rank(); ++d) {  // an axis that continues its outer neighbour is merged
    const int last = args.rank - 1;
    if (args.rank > 0 && args.x_strides[last] == sizes[d] * x_strides.at[d] &&
        args.y_strides[last] == sizes[d] * y_strides.at[d]) {
      args.sizes[last] *= sizes[d];
      args.x_strides[last] = x_strides.at[d];
      args.y_strides[last] = y_strides.at[d];
    } else {
      args.sizes[args.rank] = sizes[d];
      args.x_strides[args.rank] = x_strides.at[d];
      args.y_strides[args.rank++] = y_strides.at[d];
    }
  }
  on(y, [=](auto& device) { copy(device, args); });
}

// The adjoint of slice: x placed at `first` along `axis` of a zero tensor of shape `shape`.
Tensor place(const Tensor& x, const Shape& shape, int axis, int64_t first) {
  Tensor y = Tensor::zeros(shape, x.dtype());
  const Strides strides = contiguous(shape);
  copy_elements(x.shape(), x, 0, contiguous(x.shape()), y, first * strides.at[axis], strides);
  record(y, {x}, [axis, first, count = x.shape()[axis]](const Tensor& dy, Cotangents& dx) {
    dx.add(0, slice(dy, axis, first, count));
  });
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  require_defined("reshape", x);
  require(shape.numel() == x.numel(), "reshape",
          x.shape().str() + " has not as many elements as " + shape.str());
  Tensor y = x.view(shape);
  record(y, {x},
         [from = x.shape()](const Tensor& dy, Cotangents& dx) { dx.add(0, reshape(dy, from)); });
  return y;
}

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  require_defined("permute", x);
  const size_t rank = static_cast<size_t>(x.rank());
  std::vector<int> inverse(rank, -1);
  require(axes.size() == rank, "permute",
          std::to_string(axes.size()) + " axes for shape " + x.shape().str());
  const Strides strides = contiguous(x.shape());
  Strides permuted;
  std::vector<int64_t> sizes(rank);
  for (size_t d = 0; d < rank; ++d) {
    const int axis = x.shape().axis(axes[d]);
    require(inverse[static_cast<size_t>(axis)] < 0, "permute", "an axis is given twice");
    inverse[static_cast<size_t>(axis)] = static_cast<int>(d);
    permuted.at[d] = strides.at[axis];
    sizes[d] = x.shape()[axis];
  }
  Tensor y(Shape(sizes), x.dtype());
  copy_elements(y.shape(), x, 0, permuted, y, 0, contiguous(y.shape()));
  record(y, {x}, [inverse](const Tensor& dy, Cotangents& dx) { dx.add(0, permute(dy, inverse)); });
  return y;
}

Tensor slice(const Tensor& x, int axis, int64_t first, int64_t count) {
  require_defined("slice", x);
  const int a = x.shape().axis(axis);
  require(first >= 0 && count >= 0 && first <= x.shape()[a] - count, "slice",
          std::to_string(count) + " from " + std::to_string(first) + " along axis " +
              std::to_string(axis) + " are not inside " + x.shape().str());
  Tensor y(x.shape().with(a, count), x.dtype());
  const Strides strides = contiguous(x.shape());
  copy_elements(y.shape(), x, first * strides.at[a], strides, y, 0, contiguous(y.shape()));
  record(y, {x}, [a, first, shape = x.shape()](const Tensor& dy, Cotangents& dx) {
    dx.add(0, place(dy, shape, a, first));
  });
  return y;
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  require(!parts.empty(), "concat", "no tensors");
  for (const Tensor& part : parts) require_defined("concat", part);
  const int a = parts[0].shape().axis(axis);
  int64_t total = 0;
  for (const Tensor& part : parts) {
    require_same_dtype("concat", parts[0], part);
    require(
        part.rank() == parts[0].rank() && part.shape().with(a, 1) == parts[0].shape().with(a, 1),
        "concat", "shapes differ: " + parts[0].shape().str() + " and " + part.shape().str());
    total += part.shape()[a];
  }
  Tensor y(parts[0].shape().with(a, total), parts[0].dtype());
  const Strides strides = contiguous(y.shape());
  std::vector<int64_t> counts;
  int64_t first = 0;
  for (const Tensor& part : parts) {
    counts.push_back(part.shape()[a]);
    copy_elements(part.shape(), part, 0, contiguous(part.shape()), y, first * strides.at[a],
                  strides);
    first += counts.back();
  }
  record(y, parts, [a, counts](const Tensor& dy, Cotangents& dx) {
    int64_t begin = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const int input = static_cast<int>(i);
      if (dx.needs(input)) dx.add(input, slice(dy, a, begin, counts[i]));
      begin += counts[i];
    }
  });
  return y;
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  require_defined("broadcast_to", x);
  require(broadcast("broadcast_to", x.shape(), shape) == shape, "broadcast_to",
          x.shape().str() + " does not broadcast to " + shape.str());
  if (x.shape() == shape) return x;
  Tensor y(shape, x.dtype());
  const Strides strides = contiguous(x.shape());
  Strides repeated;
  const int extra = shape.rank() - x.rank();
  for (int d = extra; d < shape.rank(); ++d)
    repeated.at[d] = x.shape()[d - extra] == 1 ? 0 : strides.at[d - extra];
  copy_elements(shape, x, 0, repeated, y, 0, contiguous(shape));
  record(y, {x}, [](const Tensor& dy, Cotangents& dx) { dx.add(0, dy); });  // the tape sums
  return y;
}

Tensor cast(const Tensor& x, DType dtype) {
  require_defined("cast", x);
  if (x.dtype() == dtype) return x;
  Tensor y(x.shape(), dtype);
  const CastArgs args{x.dtype(), dtype, pointer(x), pointer(y), x.numel()};
  on(y, [=](auto& device) { cast(device, args); });
  if (is_floating(x.dtype()) && is_floating(dtype))
    record(y, {x},
           [from = x.dtype()](const Tensor& dy, Cotangents& dx) { dx.add(0, cast(dy, from)); });
  return y;
}

}  // namespace sinew
