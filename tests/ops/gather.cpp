#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/step.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// count indices below rows, with repeats and gaps
Tensor some_index(int64_t count, int64_t rows) {
  std::vector<int32_t> index;
  for (int64_t i = 0; i < count; ++i) index.push_back(static_cast<int32_t>((i * i * 7 + 3) % rows));
  return Tensor::from(index, {count});
}

}  // namespace

TEST_CASE("gather and scatter_add: values against loops") {
  for (int64_t count : {0, 1, 31, 33, 4097})
    for (int64_t row : {0, 1, 3, 40}) {
      const int64_t rows = 37;
      const Tensor index = some_index(count, rows);
      const auto at = index.host<int32_t>();
      const Tensor x = random_f32({rows, row}, 1), z = random_f32({count, row}, 2);
      const auto vx = x.host<float>(), vz = z.host<float>();
      std::vector<float> gathered, scattered(static_cast<size_t>(rows * row), 0.0f);
      for (size_t i = 0; i < at.size(); ++i)
        for (size_t k = 0; k < static_cast<size_t>(row); ++k) {
          const size_t from = static_cast<size_t>(at[i]) * static_cast<size_t>(row) + k;
          gathered.push_back(vx[from]);
          scattered[from] += vz[i * static_cast<size_t>(row) + k];
        }
      CHECK(gather(x, index).host<float>() == gathered);
      CHECK(scatter_add(z, index, rows).host<float>() == scattered);
    }
}

TEST_CASE("gather: every element type, more axes") {
  const Tensor index = Tensor::from(std::vector<int32_t>{2, 0, 2}, {3});
  const Tensor bytes = Tensor::from(std::vector<uint8_t>{1, 2, 3}, {3});
  CHECK(gather(bytes, index).host<uint8_t>() == std::vector<uint8_t>{3, 1, 3});
  const Tensor labels = Tensor::from(std::vector<int32_t>{10, 20, 30}, {3});
  CHECK(gather(labels, index).host<int32_t>() == std::vector<int32_t>{30, 10, 30});
  const Tensor half = cast(labels, DType::f32);
  CHECK(cast(gather(cast(half, DType::bf16), index), DType::f32).host<float>() ==
        std::vector<float>{30, 10, 30});
  CHECK(gather(random({3, 2, 2}, 1), index).shape() == Shape{3, 2, 2});
}

TEST_CASE("gather and scatter_add: gradients of both orders, adjoint to each other") {
  const Tensor index = some_index(6, 4);
  const Function take = [&](const std::vector<Tensor>& in) { return gather(in[0], index); };
  const Function put = [&](const std::vector<Tensor>& in) { return scatter_add(in[0], index, 4); };
  CHECK(gradient_error(take, {random({4, 3}, 1)}) < 1e-6);
  CHECK(gradient_error(put, {random({6, 2, 2}, 2)}) < 1e-6);
  const Function bent = [&](const std::vector<Tensor>& in) { return square(gather(in[0], index)); };
  CHECK(second_order_error(bent, {random({4, 3}, 1)}) < 1e-6);
  const Function heap = [&](const std::vector<Tensor>& in) {
    return square(scatter_add(in[0], index, 4));
  };
  CHECK(second_order_error(heap, {random({6, 3}, 1)}) < 1e-6);
}

TEST_CASE("scatter_add: the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_f32({5000, 20}, 1), index = some_index(5000, 11);
  set_threads(1);
  const auto one = scatter_add(x, index, 11).host<float>();
  const auto rows = gather(x, some_index(3000, 5000)).host<float>();
  for (int count : {2, 3, 16}) {
    set_threads(count);
    CHECK(scatter_add(x, index, 11).host<float>() == one);
    CHECK(gather(x, some_index(3000, 5000)).host<float>() == rows);
  }
  set_threads(before);
}

TEST_CASE("gather: an index that turns bad in a replayed step stays inside its memory") {
  Step step([](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{gather(in[0], in[1]), scatter_add(in[0], in[1], 2)};
  });
  const Tensor x = Tensor::from(std::vector<float>{1, 2}, {2});
  const auto index = [](int32_t a, int32_t b) {
    return Tensor::from(std::vector<int32_t>{a, b}, {2});
  };
  for (int call = 0; call < 3; ++call)
    CHECK(step({x, index(1, 0)})[0].host<float>() == std::vector<float>{2, 1});
  const auto out = step({x, index(1, 2)});
  CHECK(out[0].host<float>()[0] == 2);
  CHECK(out[0].host<float>()[1] != out[0].host<float>()[1]);
  CHECK(out[1].host<float>() == std::vector<float>{0, 1});
}

TEST_CASE("gather: without the check a row out of range is NaN") {
  const Tensor x = Tensor::from(std::vector<float>{1, 2}, {2}),
               index = Tensor::from(std::vector<int32_t>{1, -1, 2, 0}, {4});
  const auto y = gather(x, index, IndexCheck::no).host<float>();
  CHECK(y[0] == 2);
  CHECK(std::isnan(y[1]));
  CHECK(std::isnan(y[2]));
  CHECK(y[3] == 1);
}

TEST_CASE("gather and scatter_add: errors") {
  const Tensor x({3, 2}), good = Tensor::from(std::vector<int32_t>{2, 0}, {2});
  CHECK_THROWS_WITH_AS(gather(x, Tensor::from(std::vector<int32_t>{0, 3}, {2})),
                       "gather: index out of range (3 of 3 rows)", Error);
  CHECK_THROWS_WITH_AS(gather(x, Tensor::from(std::vector<int32_t>{-1}, {1})),
                       "gather: index out of range (-1 of 3 rows)", Error);
  CHECK_THROWS_WITH_AS(gather(x, Tensor({2})), "gather: index is not i32 (f32)", Error);
  CHECK_THROWS_WITH_AS(gather(x, Tensor()), "gather: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(gather(x, Tensor({2, 1}, DType::i32)),
                       "gather: index is not a vector: [2, 1]", Error);
  CHECK_THROWS_WITH_AS(gather(Tensor(Shape{}), good), "gather: x has no axis", Error);
  CHECK_THROWS_WITH_AS(scatter_add(Tensor(Shape{}), good, 3), "scatter_add: x has no axis", Error);
  CHECK_THROWS_WITH_AS(scatter_add(x, good, 3), "scatter_add: 2 indices for x [3, 2]", Error);
  CHECK_THROWS_WITH_AS(scatter_add(x, good, 2), "scatter_add: index out of range (2 of 2 rows)",
                       Error);
  CHECK_THROWS_WITH_AS(scatter_add(x, good, -1), "scatter_add: rows is negative (-1)", Error);
  CHECK_THROWS_WITH_AS(scatter_add(Tensor({2}, DType::i32), good, 3),
                       "scatter_add: needs f32 or f64 (i32)", Error);
}
