// gather: y[i] = x[index[i]] over the leading axis, any element type. scatter_add: its adjoint,
// y (rows, ...) = 0, then y[index[i]] += x[i] in the order of i. Each is the other's backward.
// Saved: index. The index is checked on the host, hence not while a Step records (its first call,
// which runs eagerly, has checked); the kernels never leave their memory.
#include "ops/gather.h"

#include "core/dispatch.h"
#include "sinew/ops.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

void check(const char* op, const Tensor& index, int64_t rows, IndexCheck check) {
  require_defined(op, index);
  require(index.dtype() == DType::i32, op,
          std::string("index is not i32 (") + name(index.dtype()) + ")");
  require(index.rank() == 1, op, "index is not a vector: " + index.shape().str());
  if (context().recorder || check == IndexCheck::no) return;
  for (int32_t i : index.host<int32_t>())
    require(i >= 0 && i < rows, op,
            "index out of range (" + std::to_string(i) + " of " + std::to_string(rows) + " rows)");
}

int64_t row_size(const Tensor& x) {
  int64_t n = 1;
  for (int d = 1; d < x.rank(); ++d) n *= x.shape()[d];
  return n;
}

}  // namespace

Tensor gather(const Tensor& x, const Tensor& index, IndexCheck checked) {
  require_defined("gather", x);
  require(x.rank() >= 1, "gather", "x has no axis");
  check("gather", index, x.dim(0), checked);
  Tensor y(x.shape().with(0, index.numel()), x.dtype());
  const GatherArgs args{row_size(x) * size_of(x.dtype()),
                        pointer(x),
                        static_cast<const int32_t*>(pointer(index)),
                        pointer(y),
                        x.dim(0),
                        index.numel()};
  on(y, [=](auto& device) { gather(device, args); });
  record(y, {x}, [index, rows = x.dim(0)](const Tensor& dy, Cotangents& dx) {
    dx.add(0, scatter_add(dy, index, rows));
  });
  return y;
}

Tensor scatter_add(const Tensor& x, const Tensor& index, int64_t rows) {
  require_real("scatter_add", x);
  require(x.rank() >= 1, "scatter_add", "x has no axis");
  require(rows >= 0, "scatter_add", "rows is negative (" + std::to_string(rows) + ")");
  check("scatter_add", index, rows, IndexCheck::yes);
  require(index.numel() == x.dim(0), "scatter_add",
          std::to_string(index.numel()) + " indices for x " + x.shape().str());
  Tensor y(x.shape().with(0, rows), x.dtype());
  const Tensor keys =
      device() == Device::cuda ? Tensor({scatter_keys(index.numel())}, DType::f64) : Tensor();
  const ScatterArgs args{x.dtype(),     pointer(x),    static_cast<const int32_t*>(pointer(index)),
                         pointer(y),    pointer(keys), rows,
                         index.numel(), row_size(x)};
  on(y, [=](auto& device) { scatter_add(device, args); });
  record(y, {x}, [index](const Tensor& dy, Cotangents& dx) { dx.add(0, gather(dy, index)); });
  return y;
}

}  // namespace sinew
