#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

// Row-major position of an index.
int64_t position(const Shape& shape, const std::vector<int64_t>& index) {
  int64_t at = 0;
  for (int d = 0; d < shape.rank(); ++d) at = at * shape[d] + index[static_cast<size_t>(d)];
  return at;
}

// Every index of a shape, in row-major order.
std::vector<std::vector<int64_t>> indices(const Shape& shape) {
  std::vector<std::vector<int64_t>> out;
  for (int64_t i = 0; i < shape.numel(); ++i) {
    std::vector<int64_t> index(static_cast<size_t>(shape.rank()));
    int64_t rest = i;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      index[static_cast<size_t>(d)] = rest % shape[d];
      rest /= shape[d];
    }
    out.push_back(index);
  }
  return out;
}

Tensor numbered(const Shape& shape) {
  std::vector<int32_t> v(static_cast<size_t>(shape.numel()));
  std::iota(v.begin(), v.end(), 0);
  return Tensor::from(v, shape);
}

void check_gradients(const Function& f, const std::vector<Tensor>& in) {
  CHECK(gradient_error(f, in) < 1e-6);
  const Function bent = [&](const std::vector<Tensor>& x) { return square(f(x)); };
  CHECK(second_order_error(bent, in) < 1e-6);
}

}  // namespace

TEST_CASE("shape: reshape shares storage") {
  const Tensor x = numbered({2, 6});
  const Tensor y = reshape(x, {3, 4});
  CHECK(y.same_storage(x));
  CHECK(y.host<int32_t>() == x.host<int32_t>());
  CHECK(reshape(Tensor({0, 3}), {3, 0, 2}).shape() == Shape{3, 0, 2});
  CHECK(reshape(Tensor({1, 1}), {}).rank() == 0);
  check_gradients([](const auto& in) { return reshape(in[0], {6}); }, {random({2, 3}, 1)});
  CHECK_THROWS_WITH_AS(reshape(x, {5}), "reshape: [2, 6] has not as many elements as [5]", Error);
  CHECK_THROWS_WITH_AS(reshape(Tensor(), {5}), "reshape: tensor is undefined", Error);
}

TEST_CASE("shape: permute, every order of four axes and every element size") {
  const Tensor x = numbered({2, 3, 4, 5});
  std::vector<int> axes{0, 1, 2, 3};
  do {
    const Tensor y = permute(x, axes);
    const auto v = y.host<int32_t>();
    for (const auto& index : indices(x.shape())) {
      std::vector<int64_t> moved;
      for (int axis : axes) moved.push_back(index[static_cast<size_t>(axis)]);
      CHECK(v[static_cast<size_t>(position(y.shape(), moved))] == position(x.shape(), index));
    }
    for (DType type : {DType::u8, DType::f32, DType::f64})
      CHECK(permute(cast(x, type), axes).values() == y.values());
    const Tensor half = permute(cast(cast(x, DType::f32), DType::bf16), axes);
    CHECK(cast(half, DType::f32).values() == y.values());
  } while (std::next_permutation(axes.begin(), axes.end()));
}

TEST_CASE("shape: permute of large and empty tensors, gradients, errors") {
  for (int64_t n : {0, 1, 31, 33, 4097}) {
    const Tensor x = random_f32({n, 3}, 1), y = permute(x, {1, 0});
    CHECK(y.shape() == Shape{3, n});
    const auto vx = x.host<float>(), vy = y.host<float>();
    for (size_t i = 0; i < vx.size(); ++i)
      CHECK(vy[i % 3 * static_cast<size_t>(n) + i / 3] == vx[i]);
  }
  check_gradients(
      [](const auto& in) {
        return permute(in[0], {2, 0, -2});
      },
      {random({2, 3, 4}, 1)});
  const Tensor x({2, 3});
  CHECK_THROWS_WITH_AS(permute(x, {0}), "permute: 1 axes for shape [2, 3]", Error);
  CHECK_THROWS_WITH_AS(permute(x, {1, -1}), "permute: an axis is given twice", Error);
  CHECK_THROWS_WITH_AS(permute(x, {0, 2}), "shape: axis out of range (axis 2 of [2, 3])", Error);
}

TEST_CASE("shape: slice") {
  const Tensor x = numbered({4, 3, 5});
  for (int axis = 0; axis < 3; ++axis)
    for (int64_t first = 0; first <= x.dim(axis); ++first)
      for (int64_t count = 0; first + count <= x.dim(axis); ++count) {
        const Tensor y = slice(x, axis, first, count);
        CHECK(y.shape() == x.shape().with(axis, count));
        const auto v = y.host<int32_t>();
        for (auto index : indices(y.shape())) {
          const int64_t at = position(y.shape(), index);
          index[static_cast<size_t>(axis)] += first;
          CHECK(v[static_cast<size_t>(at)] == position(x.shape(), index));
        }
      }
  for (int axis = 0; axis < 3; ++axis)
    check_gradients([=](const auto& in) { return slice(in[0], axis, 1, 2); },
                    {random({4, 3, 5}, 1)});
  CHECK(slice(x, -1, 4, 1).shape() == Shape{4, 3, 1});
  CHECK_THROWS_WITH_AS(slice(x, 1, 2, 2), "slice: 2 from 2 along axis 1 are not inside [4, 3, 5]",
                       Error);
  CHECK_THROWS_WITH_AS(slice(x, 0, -1, 2), "slice: 2 from -1 along axis 0 are not inside [4, 3, 5]",
                       Error);
  CHECK_THROWS_WITH_AS(slice(x, 0, 1, -1), "slice: -1 from 1 along axis 0 are not inside [4, 3, 5]",
                       Error);
}

TEST_CASE("shape: concat undoes slices") {
  const Tensor x = numbered({4, 6, 5});
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t n = x.dim(axis);
    const std::vector<Tensor> parts{slice(x, axis, 0, 1), slice(x, axis, 1, 0),
                                    slice(x, axis, 1, n - 3), slice(x, axis, n - 2, 2)};
    CHECK(concat(parts, axis).host<int32_t>() == x.host<int32_t>());
    CHECK(concat(parts, axis - 3).host<int32_t>() == x.host<int32_t>());
  }
  check_gradients(
      [](const auto& in) {
        return concat({in[0], in[1], in[0]}, 1);
      },
      {random({2, 3}, 1), random({2, 1}, 2)});
  const Tensor a({2, 3});
  CHECK_THROWS_WITH_AS(concat({}, 0), "concat: no tensors", Error);
  CHECK_THROWS_WITH_AS(concat({a, Tensor({3, 2})}, 0), "concat: shapes differ: [2, 3] and [3, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(concat({a, Tensor({3})}, 0), "concat: shapes differ: [2, 3] and [3]", Error);
  CHECK_THROWS_WITH_AS(concat({a, Tensor({2, 3}, DType::f64)}, 0),
                       "concat: dtypes differ (f32, f64)", Error);
  CHECK_THROWS_WITH_AS(concat({a, Tensor()}, 0), "concat: tensor is undefined", Error);
}

TEST_CASE("shape: broadcast_to") {
  struct Pair {
    Shape from, to;
  };
  const Pair pairs[] = {
      {{}, {2, 3}},  {{3}, {2, 3}}, {{2, 1}, {2, 3}},   {{1, 1}, {4, 1}}, {{2, 1, 4}, {5, 2, 3, 4}},
      {{3}, {0, 3}}, {{1}, {4097}}, {{31, 1}, {31, 33}}};
  for (const Pair& pair : pairs) {
    const Tensor x = numbered(pair.from);
    const auto v = broadcast_to(x, pair.to).host<int32_t>();
    for (const auto& index : indices(pair.to)) {
      std::vector<int64_t> from(index.end() - pair.from.rank(), index.end());
      for (int d = 0; d < pair.from.rank(); ++d)
        if (pair.from[d] == 1) from[static_cast<size_t>(d)] = 0;
      CHECK(v[static_cast<size_t>(position(pair.to, index))] == position(pair.from, from));
    }
    if (pair.to.numel() < 200)
      check_gradients([&](const auto& in) { return broadcast_to(in[0], pair.to); },
                      {random(pair.from, 1)});
  }
  CHECK_THROWS_WITH_AS(broadcast_to(Tensor({2}), {3}),
                       "broadcast_to: shapes do not broadcast: [2] and [3]", Error);
  CHECK_THROWS_WITH_AS(broadcast_to(Tensor({2}), {1}),
                       "broadcast_to: [2] does not broadcast to [1]", Error);
}

TEST_CASE("shape: the same bits for any number of threads") {
  const int former = threads();
  const Tensor flat = numbered({300, 1000}), deep = numbered({30, 40, 250});
  const auto run = [&](int count) {
    set_threads(count);
    std::vector<std::vector<int32_t>> all;
    for (const Tensor& y :
         {permute(flat, {1, 0}), permute(deep, {2, 0, 1}), permute(deep, {1, 0, 2}),
          slice(flat, 1, 7, 990), concat({flat, flat}, 1), broadcast_to(flat, {3, 300, 1000})})
      all.push_back(y.host<int32_t>());
    for (DType type : {DType::u8, DType::bf16, DType::f64})  // every size of an element
      all.push_back(cast(permute(cast(flat, type), {1, 0}), DType::i32).host<int32_t>());
    return all;
  };
  CHECK(run(1) == run(4));
  set_threads(former);
}
