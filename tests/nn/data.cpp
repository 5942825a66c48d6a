// Golden values: NumPy 2.4 (means, deviations, permutations), PyTorch 2.15 (DataLoader order).
#include "sinew/data.h"

#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "nn/files.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;
using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

namespace {

Tensor table(int64_t rows, int64_t columns) {
  Floats x;
  for (int64_t i = 0; i < rows * columns; ++i)
    x.push_back(static_cast<float>(i * 7919 % 1009) / 100.0f - 3.0f);
  return Tensor::from(x, {rows, columns});
}

}  // namespace

TEST_CASE("data: the first number that is not finite is named") {
  const auto error = [](const Tensor& t) { return error_of([&] { require_finite("X.npy", t); }); };
  Floats x(12, 1.5f);
  CHECK(error(Tensor::from(x, {4, 3})) == "no error");
  x[7] = NAN;
  x[11] = INFINITY;
  CHECK(error(Tensor::from(x, {4, 3})) == "X.npy: row 3, column 2 is not finite (nan)");
  CHECK(error(Tensor::from(x, {2, 2, 3})) == "X.npy: row 2, column 2 is not finite (nan)");
  CHECK(error(Tensor::from(x, {12})) == "X.npy: row 8, column 1 is not finite (nan)");
  CHECK(error(cast(Tensor::from(x, {4, 3}), DType::bf16)) ==
        "X.npy: row 3, column 2 is not finite (nan)");
  CHECK(error(Tensor::from(std::vector<double>{0, -INFINITY}, {1, 2})) ==
        "X.npy: row 1, column 2 is not finite (-inf)");
  CHECK(error(Tensor::scalar(INFINITY)) == "X.npy: row 1, column 1 is not finite (inf)");
  CHECK(error(Tensor::from(Ints{1}, {1})) == "no error");
  CHECK(error(Tensor({0, 3})) == "no error");
  CHECK(error(Tensor()) == "X.npy: tensor is undefined");
}

TEST_CASE("data: standard scaler has NumPy's bits") {
  Scaler s = standard_scaler(table(1000, 1));
  CHECK(s.shift.host<float>() == Floats{2.04678011f});
  CHECK(s.scale.host<float>() == Floats{2.91359067f});
  s = standard_scaler(table(1000, 3));
  CHECK(s.shift.host<float>() == Floats{2.0402503f, 2.04393029f, 2.03752017f});
  CHECK(s.scale.host<float>() == Floats{2.91399384f, 2.91223764f, 2.91168451f});
  s = standard_scaler(table(5, 1));
  CHECK(s.shift.host<float>() == Floats{2.01200008f});
  CHECK(s.scale.host<float>() == Floats{2.93614316f});
}

TEST_CASE("data: standard scaler centres, scales and goes back") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = cast(random({50, 4}, 1, -3, 9), dtype);
    const Scaler s = standard_scaler(x);
    const Tensor z = s.apply(x);
    CHECK(z.dtype() == dtype);
    CHECK(difference(mean(z, {0}), Tensor::zeros({4}, dtype)) < 1e-6);
    CHECK(difference(mean(square(z), {0}), Tensor::full({4}, 1, dtype)) < 1e-6);
    CHECK(difference(s.invert(z), x) < 1e-6);
  }
  const Scaler constant = standard_scaler(Tensor::full({9, 2}, 4));
  CHECK(constant.shift.host<float>() == Floats{4, 4});
  CHECK(constant.scale.host<float>() == Floats{1, 1});
}

TEST_CASE("data: minmax scaler maps to [0, 1] and goes back") {
  const Tensor x = Tensor::from(Floats{-1, 5, 7, 3, 5, 9, 0, 5, 8}, {3, 3});
  const Scaler s = minmax_scaler(x);
  CHECK(s.shift.host<float>() == Floats{-1, 5, 7});
  CHECK(s.scale.host<float>() == Floats{4, 1, 2});
  CHECK(s.apply(x).host<float>() == Floats{0, 0, 0, 1, 0, 1, 0.25, 0, 0.5});
  CHECK(s.invert(s.apply(x)).host<float>() == x.host<float>());
}

TEST_CASE("data: scalers need a table of numbers") {
  CHECK_THROWS_WITH_AS(standard_scaler(Tensor({3})), "standard_scaler: needs rows and columns [3]",
                       Error);
  CHECK_THROWS_WITH_AS(standard_scaler(Tensor({0, 3})),
                       "standard_scaler: needs rows and columns [0, 3]", Error);
  CHECK_THROWS_WITH_AS(minmax_scaler(Tensor({2, 2}, DType::i32)), "minmax_scaler: needs f32 or f64",
                       Error);
  CHECK_THROWS_WITH_AS(minmax_scaler(Tensor()), "minmax_scaler: needs f32 or f64", Error);
}

TEST_CASE("data: validation split in NumPy's order") {
  Split s = split_rows(20, 0.1, 0);
  CHECK(s.validation.host<int32_t>() == Ints{4, 19});
  CHECK(s.train.host<int32_t>() ==
        Ints{6, 2, 13, 16, 3, 11, 10, 8, 0, 12, 7, 5, 18, 17, 14, 9, 1, 15});
  s = split_rows(10, 0.25, 5);  // 2.5 rounds to 2
  CHECK(s.validation.host<int32_t>() == Ints{7, 6});
  CHECK(s.train.host<int32_t>() == Ints{1, 3, 2, 4, 0, 9, 5, 8});
  CHECK(split_rows(10, 0.35, 5).validation.host<int32_t>() == Ints{7, 6, 1, 3});  // 3.5 to 4
  CHECK(split_rows(10, 0.001, 5).validation.numel() == 1);
  CHECK(split_rows(8192, 0.1, 0).train.numel() == 7373);
  s = split_rows(4, 0, 0);
  CHECK(s.train.host<int32_t>() == Ints{0, 1, 2, 3});
  CHECK(s.validation.numel() == 0);
  CHECK_THROWS_WITH_AS(
      split_rows(10, 0.99, 0),
      "split_rows: validation_fraction leaves no row to train on (0.990000 of 10 rows)", Error);
  CHECK_THROWS_AS(split_rows(1, 0.1, 0), Error);
  CHECK_THROWS_WITH_AS(split_rows(0, 0.1, 0), "split_rows: no rows (0)", Error);
}

TEST_CASE("data: batches in the order of PyTorch's DataLoader") {
  Floats rows;
  for (int i = 0; i < 10; ++i) rows.insert(rows.end(), {static_cast<float>(i), -1.0f});
  const Tensor x = Tensor::from(rows, {10, 2});
  const Tensor y = Tensor::from(Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10});
  Batches batches(x, y, 4);
  CHECK(batches.count() == 3);
  CHECK(batches.rows() == 10);
  CHECK(batches[0].x.same_storage(x));
  CHECK(batches[2].y.host<int32_t>() == Ints{8, 9});
  TorchGenerator generator(3);
  const std::vector<Ints> epochs[] = {{{6, 2, 0, 1}, {8, 3, 5, 4}, {7, 9}},
                                      {{3, 4, 0, 9}, {6, 7, 1, 2}, {5, 8}}};
  for (const auto& expected : epochs) {
    batches.shuffle(generator);
    for (int64_t i = 0; i < 3; ++i) {
      const Batch batch = batches[i];
      CHECK(batch.y.host<int32_t>() == expected[static_cast<size_t>(i)]);
      CHECK(batch.x.dim(1) == 2);
      CHECK(slice(batch.x, 1, 0, 1).values() == batch.y.values());
    }
  }
}

TEST_CASE("data: batch errors") {
  CHECK_THROWS_WITH_AS(Batches(Tensor({3, 2}), Tensor({4}), 2),
                       "batches: x and y need the same number of rows (x [3, 2], y [4])", Error);
  CHECK_THROWS_WITH_AS(Batches(Tensor({3, 2}), Tensor(), 2),
                       "batches: x and y need the same number of rows (x [3, 2], y undefined)",
                       Error);
  CHECK_THROWS_WITH_AS(Batches(Tensor({3, 2}), Tensor({3}), 0), "batches: batch_size below 1 (0)",
                       Error);
  const Batches batches(Tensor({3, 2}), Tensor({3}), 2);
  Batches ordered = batches;
  CHECK_THROWS_WITH_AS(ordered.set_order(Tensor::from(Ints{0, 3, 1}, {3})),
                       "batches: order has row 3 of 3", Error);
  CHECK_THROWS_WITH_AS(ordered.set_order(Tensor::from(Ints{0, -1, 1}, {3})),
                       "batches: order has row -1 of 3", Error);
  CHECK_THROWS_WITH_AS(ordered.set_order(Tensor({3})), "batches: order needs one i32 per row",
                       Error);
  CHECK(!ordered.order().defined());
  CHECK_THROWS_WITH_AS(batches[2], "batches: batch 2 of 2", Error);
  CHECK_THROWS_WITH_AS(batches[-1], "batches: batch -1 of 2", Error);
}
