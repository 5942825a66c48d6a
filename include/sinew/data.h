// From a table of numbers to batches: a check of the values, scaling of columns, a validation
// split, mini-batches in PyTorch's order.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sinew/random.h"
#include "sinew/tensor.h"

namespace sinew {

// Throws if an element is NaN or infinite: `what: row 3, column 2 is not finite (nan)`. Rows, along
// the leading axis, and columns, the elements of a row, are counted from 1. A scalar is one row.
// Tensors of i32 and u8 pass.
void require_finite(const std::string& what, const Tensor& t);

// (x - shift) / scale per column; shift and scale (columns), rounded to the type of x.
struct Scaler {
  Tensor shift, scale;
  Tensor apply(const Tensor& x) const;   // (x - shift) / scale
  Tensor invert(const Tensor& y) const;  // y * scale + shift
};

// Both take x (rows, columns), f32 or f64, at least one row; all arithmetic is in x's type.
// shift: mean, scale: population standard deviation sqrt(mean((x - mean)^2)), or 1 where that is
// below 1e-6. Bit for bit what NumPy's x.mean(0) and x.std(0) give for a C-ordered array.
Scaler standard_scaler(const Tensor& x);
// To [0, 1]. shift: smallest value, scale: largest minus smallest, or 1 where that is <= 1e-8.
Scaler minmax_scaler(const Tensor& x);

// Row numbers, i32, for `gather` (ops.h).
struct Split {
  Tensor train, validation;
};
// NumpyGenerator(seed) permutes 0 .. rows - 1; the first max(1, round(rows * fraction)) rows, ties
// to even, are the validation part, the rest the training part. fraction <= 0: all rows train, in
// their order. Throws if no row is left to train on.
Split split_rows(int64_t rows, double validation_fraction, int64_t seed);

struct Batch {
  Tensor x, y;
};

// Mini-batches of x and y, which have as many rows (leading axis); the last batch may be smaller.
//
//     Batches batches(x, y, 128);
//     for (int epoch = 0; epoch < 25; ++epoch) {
//       batches.shuffle(generator);
//       for (int64_t i = 0; i < batches.count(); ++i) train(batches[i]);
//     }
class Batches {
 public:
  Batches(const Tensor& x, const Tensor& y, int64_t batch_size);  // rows in their own order
  // The order of the next epoch, as a shuffling DataLoader draws it (epoch_permutation, random.h).
  void shuffle(TorchGenerator& generator);
  // The current order, undefined before the first shuffle; a checkpoint sets it again. Throws
  // unless it is i32 with one row number per row.
  const Tensor& order() const { return order_; }
  void set_order(const Tensor& order);
  int64_t count() const;  // batches per epoch
  int64_t rows() const { return x_.dim(0); }
  // Batch i < count(): gathered rows, or slices that share storage as long as nothing is shuffled.
  Batch operator[](int64_t i) const;
  // The same in two parts, for a recorded step: what changes from batch to batch (the row numbers,
  // or the slices), and the batch made of it by kernels alone, which do not check row numbers.
  void select(int64_t i, std::vector<Tensor>& selection) const;
  Batch of(const std::vector<Tensor>& selection) const;

 private:
  Tensor x_, y_;
  int64_t batch_size_;
  Tensor order_;  // i32 (rows), undefined before the first shuffle
};

}  // namespace sinew
