// Scalers, splits, batches. Column sums go in NumPy's order, so that scaled data have the same bits
// as in Python: several columns are added row by row; a single one pairwise, in blocks of at most
// 128 elements with eight running sums.
#include "sinew/data.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "sinew/error.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

template <class T>
T pairwise_sum(const T* x, size_t n) {
  if (n > 128) {
    const size_t half = n / 2 - n / 2 % 8;
    return pairwise_sum(x, half) + pairwise_sum(x + half, n - half);
  }
  T sum = 0;
  size_t i = 0;
  if (n >= 8) {
    T s[8];
    for (; i < 8; ++i) s[i] = x[i];
    for (; i + 8 <= n; i += 8)
      for (size_t k = 0; k < 8; ++k) s[k] += x[i + k];
    sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  }
  for (; i < n; ++i) sum += x[i];
  return sum;
}

template <class T>
std::vector<T> column_means(const std::vector<T>& x, size_t columns) {
  const size_t rows = x.size() / columns;
  std::vector<T> mean(columns, T(0));
  if (columns == 1)
    mean[0] = pairwise_sum(x.data(), rows);
  else
    for (size_t i = 0; i < x.size(); ++i) mean[i % columns] += x[i];
  for (T& m : mean) m /= static_cast<T>(rows);
  return mean;
}

template <class T>
Scaler standard(const Tensor& t) {
  std::vector<T> x = t.host<T>();
  const size_t columns = static_cast<size_t>(t.dim(1));
  const std::vector<T> mean = column_means(x, columns);
  for (size_t i = 0; i < x.size(); ++i) {
    const T d = x[i] - mean[i % columns];
    x[i] = d * d;
  }
  std::vector<T> deviation = column_means(x, columns);
  for (T& d : deviation) {
    d = std::sqrt(d);
    if (d < T(1e-6)) d = 1;
  }
  return {Tensor::from(mean, {t.dim(1)}), Tensor::from(deviation, {t.dim(1)})};
}

template <class T>
void check_finite(const std::string& what, const Tensor& t) {
  const std::vector<T> values = t.host<T>();
  const auto found =
      std::find_if(values.begin(), values.end(), [](T v) { return !std::isfinite(v); });
  if (found == values.end()) return;
  const int64_t at = found - values.begin(), columns = t.rank() > 0 ? t.numel() / t.dim(0) : 1;
  throw Error(what + ": row " + std::to_string(at / columns + 1) + ", column " +
              std::to_string(at % columns + 1) + " is not finite (" + std::to_string(*found) + ")");
}

void require_table(const char* op, const Tensor& x) {
  if (!x.defined() || (x.dtype() != DType::f32 && x.dtype() != DType::f64))
    throw Error(std::string(op) + ": needs f32 or f64");
  if (x.rank() != 2 || x.numel() == 0)
    throw Error(std::string(op) + ": needs rows and columns " + x.shape().str());
}

}  // namespace

void require_finite(const std::string& what, const Tensor& t) {
  if (!t.defined()) throw Error(what + ": tensor is undefined");
  if (t.dtype() == DType::f64) check_finite<double>(what, t);
  if (t.dtype() == DType::f32) check_finite<float>(what, t);
  if (t.dtype() == DType::bf16) check_finite<float>(what, cast(t.detach(), DType::f32));
}

Tensor Scaler::apply(const Tensor& x) const {
  return div(sub(x, cast(shift, x.dtype())), cast(scale, x.dtype()));
}
Tensor Scaler::invert(const Tensor& y) const {
  return add(mul(y, cast(scale, y.dtype())), cast(shift, y.dtype()));
}

Scaler standard_scaler(const Tensor& x) {
  require_table("standard_scaler", x);
  return x.dtype() == DType::f64 ? standard<double>(x) : standard<float>(x);
}

Scaler minmax_scaler(const Tensor& x) {
  require_table("minmax_scaler", x);
  const Tensor table = x.detach(), low = min(table, {0}), range = sub(max(table, {0}), low);
  const Tensor wide = less(Tensor::full(range.shape(), 1e-8, x.dtype()), range);
  return {low, where(wide, range, Tensor::full(range.shape(), 1, x.dtype()))};
}

Split split_rows(int64_t rows, double validation_fraction, int64_t seed) {
  if (rows < 1) throw Error("split_rows: no rows (" + std::to_string(rows) + ")");
  const bool split = validation_fraction > 0;
  // std::nearbyint rounds ties to even in the default rounding mode.
  const double wanted = split ? std::nearbyint(static_cast<double>(rows) * validation_fraction) : 0;
  if (!(wanted < static_cast<double>(rows)) || (split && rows == 1))
    throw Error("split_rows: validation_fraction leaves no row to train on (" +
                std::to_string(validation_fraction) + " of " + std::to_string(rows) + " rows)");
  const int64_t count = split ? std::max<int64_t>(1, static_cast<int64_t>(wanted)) : 0;
  std::vector<int32_t> order = NumpyGenerator(seed).permutation(rows);
  if (!split) std::iota(order.begin(), order.end(), 0);
  return {Tensor::from(std::vector<int32_t>(order.begin() + count, order.end()), {rows - count}),
          Tensor::from(std::vector<int32_t>(order.begin(), order.begin() + count), {count})};
}

Batches::Batches(const Tensor& x, const Tensor& y, int64_t batch_size)
    : x_(x), y_(y), batch_size_(batch_size) {
  if (!x.defined() || !y.defined() || x.rank() < 1 || y.rank() < 1 || x.dim(0) != y.dim(0))
    throw Error("batches: x and y need the same number of rows (x " +
                (x.defined() ? x.shape().str() : "undefined") + ", y " +
                (y.defined() ? y.shape().str() : "undefined") + ")");
  if (batch_size < 1)
    throw Error("batches: batch_size below 1 (" + std::to_string(batch_size) + ")");
}

void Batches::shuffle(TorchGenerator& generator) {
  order_ = Tensor::from(epoch_permutation(generator, rows()), {rows()});
}

void Batches::set_order(const Tensor& order) {
  if (!order.defined() || order.dtype() != DType::i32 || !(order.shape() == Shape({rows()})))
    throw Error("batches: order needs one i32 per row");
  for (const int32_t row : order.host<int32_t>())
    if (row < 0 || row >= rows())
      throw Error("batches: order has row " + std::to_string(row) + " of " +
                  std::to_string(rows()));
  order_ = Tensor(order.shape(), DType::i32);  // its own: gather does not check again
  order_.assign(order);
}

int64_t Batches::count() const { return rows() / batch_size_ + (rows() % batch_size_ != 0); }

Batch Batches::operator[](int64_t i) const {
  std::vector<Tensor> selection;
  select(i, selection);
  return of(selection);
}

void Batches::select(int64_t i, std::vector<Tensor>& selection) const {
  if (i < 0 || i >= count())
    throw Error("batches: batch " + std::to_string(i) + " of " + std::to_string(count()));
  const int64_t first = i * batch_size_, size = std::min(batch_size_, rows() - first);
  selection.clear();
  if (order_.defined()) {
    selection.push_back(order_.rows(first, size));
  } else {
    selection.push_back(x_.rows(first, size));
    selection.push_back(y_.rows(first, size));
  }
}

// The order's rows are in range by construction.
Batch Batches::of(const std::vector<Tensor>& selection) const {
  if (selection.size() == 2) return {selection[0], selection[1]};
  return {gather(x_, selection[0], IndexCheck::no), gather(y_, selection[0], IndexCheck::no)};
}

}  // namespace sinew
