#include <doctest/doctest.h>

#include "sinew/error.h"
#include "sinew/ops.h"
#include "sinew/step.h"
#include "sinew/tape.h"
#include "sinew/tensor.h"

using namespace sinew;

namespace {

using Floats = std::vector<float>;

Tensor six() { return Tensor::from(Floats{0, 1, 2, 3, 4, 5}, {3, 2}); }

}  // namespace

TEST_CASE("tensor: undefined, empty and scalar") {
  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK(none.numel() == 0);
  CHECK_THROWS_WITH_AS(none.host<float>(), "host: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(none.view(0, {0}), "view: tensor is undefined", Error);
  const Tensor empty({0, 3});
  CHECK(empty.defined());
  CHECK(empty.host<float>().empty());
  const Tensor one = Tensor::scalar(2.5, DType::f64);
  CHECK(one.rank() == 0);
  CHECK(one.numel() == 1);
  CHECK(one.item<double>() == 2.5);
}

TEST_CASE("tensor: shape, dtype and device") {
  const Tensor x({4, 3, 5}, DType::u8);
  CHECK(x.shape() == Shape{4, 3, 5});
  CHECK(x.rank() == 3);
  CHECK(x.numel() == 60);
  CHECK(x.dim(1) == 3);
  CHECK(x.dim(-1) == 5);
  CHECK(x.dtype() == DType::u8);
  CHECK(x.device() == Device::cpu);
  CHECK_THROWS_WITH_AS(x.dim(3), "shape: axis out of range (axis 3 of [4, 3, 5])", Error);
}

TEST_CASE("tensor: host values of every type come back, by their type and as double") {
  const Tensor f = Tensor::from(Floats{1.5f, -2}, {2});
  const Tensor d = Tensor::from(std::vector<double>{0.1, 1e300}, {2, 1});
  const Tensor i = Tensor::from(std::vector<int32_t>{INT32_MIN, INT32_MAX}, {1, 2});
  const Tensor u = Tensor::from(std::vector<uint8_t>{0, 255}, {2});
  CHECK(f.host<float>() == Floats{1.5f, -2});
  CHECK(d.host<double>() == std::vector<double>{0.1, 1e300});
  CHECK(i.host<int32_t>() == std::vector<int32_t>{INT32_MIN, INT32_MAX});
  CHECK(u.host<uint8_t>() == std::vector<uint8_t>{0, 255});
  CHECK(f.values() == std::vector<double>{1.5, -2});
  CHECK(d.values() == std::vector<double>{0.1, 1e300});
  CHECK(i.values() == std::vector<double>{-2147483648.0, 2147483647.0});
  CHECK(u.values() == std::vector<double>{0, 255});
  CHECK(d.shape() == Shape{2, 1});
  CHECK(i.dtype() == DType::i32);
  CHECK(f.rows(1, 1).item<float>() == -2);
  CHECK(u.rows(1, 1).value() == 255);
  CHECK_THROWS_WITH_AS(f.host<double>(), "host: asked for f64, tensor is f32", Error);
  CHECK_THROWS_WITH_AS(u.host<int32_t>(), "host: asked for i32, tensor is u8", Error);
  CHECK_THROWS_WITH_AS(f.item<float>(), "item: tensor has not one element [2]", Error);
  CHECK_THROWS_WITH_AS(f.rows(0, 1).item<double>(), "host: asked for f64, tensor is f32", Error);
  CHECK_THROWS_WITH_AS(i.value(), "value: tensor has not one element [1, 2]", Error);
  const Tensor half = cast(f, DType::bf16);
  CHECK_THROWS_WITH_AS(half.values(), "values: cast bf16 to f32 first", Error);
  CHECK_THROWS_WITH_AS(half.rows(0, 1).value(), "values: cast bf16 to f32 first", Error);
  CHECK_THROWS_WITH_AS(Tensor::from(Floats{1, 2, 3}, {2}), "tensor: 3 values for shape [2]", Error);
  CHECK_THROWS_WITH_AS(Tensor::from(Floats{}, {}), "tensor: 0 values for shape []", Error);
}

TEST_CASE("tensor: one value for every element, in place") {
  Tensor x = Tensor::from(Floats{1, 2, 3}, {3}), i({2}, DType::i32), u({1}, DType::u8);
  x.rows(1, 2).assign(0.5);
  CHECK(x.host<float>() == Floats{1, 0.5, 0.5});
  i.assign(-7.0);
  CHECK(i.host<int32_t>() == std::vector<int32_t>{-7, -7});
  CHECK_THROWS_WITH_AS(u.assign(256.0), "assign: value does not fit u8 (256.000000)", Error);
  CHECK_THROWS_WITH_AS(Tensor().assign(1.0), "assign: tensor is undefined", Error);
  Tensor d({2}, DType::f64);
  d.assign(std::vector<double>{1, 2});
  CHECK(d.values() == std::vector<double>{1, 2});
}

TEST_CASE("tensor: constants of every type") {
  for (DType type : {DType::f32, DType::f64, DType::i32, DType::u8}) {
    CHECK(Tensor::full({2}, 200, type).values() == std::vector<double>{200, 200});
    CHECK(Tensor::zeros({2, 1}, type).values() == std::vector<double>{0, 0});
  }
  CHECK(cast(Tensor::full({1}, 1.01, DType::bf16), DType::f32).value() == 1.0078125);
  CHECK(Tensor::full({1}, -2147483648.0, DType::i32).value() == -2147483648.0);
  CHECK_THROWS_WITH_AS(Tensor::full({1}, 256, DType::u8),
                       "full: value does not fit u8 (256.000000)", Error);
  CHECK_THROWS_WITH_AS(Tensor::full({1}, -1, DType::u8), "full: value does not fit u8 (-1.000000)",
                       Error);
  CHECK_THROWS_WITH_AS(Tensor::full({1}, 2147483648.0, DType::i32),
                       "full: value does not fit i32 (2147483648.000000)", Error);
}

TEST_CASE("tensor: assign writes in place, seen through every handle") {
  Tensor x = six();
  const Tensor copy = x, row = x.rows(1, 1);
  x.assign(Floats{9, 8, 7, 6, 5, 4});
  CHECK(copy.host<float>() == Floats{9, 8, 7, 6, 5, 4});
  CHECK(row.host<float>() == Floats{7, 6});
  Tensor middle = x.rows(1, 1);
  const Tensor source = Tensor::from(Floats{-1, -2}, {1, 2});
  middle.assign(source);
  CHECK(x.host<float>() == Floats{9, 8, -1, -2, 5, 4});
  CHECK_FALSE(middle.same_storage(source));
  Tensor half = Tensor::zeros({2}, DType::bf16);
  half.assign(Tensor::full({2}, 1.5, DType::bf16));
  CHECK(cast(half, DType::f32).host<float>() == Floats{1.5f, 1.5f});
  Tensor empty({0});
  empty.assign(Floats{});
  empty.assign(Tensor({0}));

  Tensor none, wide({3, 2}, DType::f64);
  CHECK_THROWS_WITH_AS(x.assign(Floats{1, 2}), "tensor: 2 values for shape [3, 2]", Error);
  CHECK_THROWS_WITH_AS(wide.assign(Floats(6)), "tensor: values are f32, tensor is f64", Error);
  CHECK_THROWS_WITH_AS(x.assign(wide), "assign: got f64 [3, 2] for f32 [3, 2]", Error);
  CHECK_THROWS_WITH_AS(x.assign(source), "assign: got f32 [1, 2] for f32 [3, 2]", Error);
  CHECK_THROWS_WITH_AS(none.assign(Floats{1}), "assign: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(none.assign(x), "assign: tensor is undefined", Error);
  CHECK_THROWS_WITH_AS(x.assign(none), "assign: tensor is undefined", Error);
  CHECK(x.host<float>() == Floats{9, 8, -1, -2, 5, 4});
}

TEST_CASE("tensor: views share storage and nest") {
  const Tensor x = six();
  const Tensor flat = x.view({6});
  CHECK(flat.same_storage(x));
  CHECK(flat.host<float>() == x.host<float>());
  const Tensor tail = flat.view(2, {2, 2});
  CHECK(tail.host<float>() == Floats{2, 3, 4, 5});
  CHECK(tail.view(3, {}).item<float>() == 5);
  CHECK(tail.view(4, {0}).numel() == 0);
  CHECK_FALSE(tail.same_storage(x));
  CHECK(tail.same_storage(x.rows(1, 1)));
  CHECK_FALSE(six().same_storage(x));
  CHECK_THROWS_WITH_AS(x.view({5}), "view: [3, 2] has not as many elements as [5]", Error);
  CHECK_THROWS_WITH_AS(x.view(4, {3}), "view: elements 4 on, shape [3], are not inside [3, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(x.view(-1, {3}), "view: elements -1 on, shape [3], are not inside [3, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(tail.view(0, {5}), "view: elements 0 on, shape [5], are not inside [2, 2]",
                       Error);
  CHECK_THROWS_WITH_AS(x.view(INT64_MAX, {1}),
                       "view: elements 9223372036854775807 on, shape [1], are not inside [3, 2]",
                       Error);
}

TEST_CASE("tensor: rows of the leading axis") {
  const Tensor x = six();
  CHECK(x.rows(0, 3).same_storage(x));
  const Tensor last = x.rows(1, 2);
  CHECK(last.shape() == Shape{2, 2});
  CHECK(last.host<float>() == Floats{2, 3, 4, 5});
  CHECK(last.rows(1, 1).host<float>() == Floats{4, 5});
  CHECK(x.rows(3, 0).shape() == Shape{0, 2});
  CHECK(Tensor({0, 2}).rows(0, 0).shape() == Shape{0, 2});
  CHECK(Tensor({3, 0}).rows(1, 2).shape() == Shape{2, 0});
  CHECK_THROWS_WITH_AS(x.rows(2, 2), "rows: 2 rows from 2 are not inside [3, 2]", Error);
  CHECK_THROWS_WITH_AS(x.rows(-1, 2), "rows: 2 rows from -1 are not inside [3, 2]", Error);
  CHECK_THROWS_WITH_AS(x.rows(1, -1), "rows: -1 rows from 1 are not inside [3, 2]", Error);
  CHECK_THROWS_WITH_AS(x.rows(INT64_MAX, 1),
                       "rows: 1 rows from 9223372036854775807 are not inside [3, 2]", Error);
  CHECK_THROWS_WITH_AS(Tensor::scalar(1).rows(0, 1), "rows: 1 rows from 0 are not inside []",
                       Error);
}

TEST_CASE("tensor: detach, view and rows are unknown to the tape, copies are known") {
  Tape tape;
  Tensor x = six();
  tape.watch(x);
  const Tensor copy = x;
  CHECK(tape.tracks(copy));
  CHECK(x.detach().same_storage(x));
  CHECK(x.detach().shape() == x.shape());
  for (const Tensor& t : {x.detach(), x.view({6}), x.rows(0, 3)}) CHECK_FALSE(tape.tracks(t));
  CHECK(tape.tracks(x));
}

TEST_CASE("tensor: host values cannot enter a recording") {
  Step step([](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{add(in[0], Tensor::from(Floats{1}, {1}))};
  });
  CHECK(step({Tensor::zeros({1})})[0].value() == 1);
  CHECK_THROWS_WITH_AS(step({Tensor::zeros({1})}),
                       "tensor: host access while a step is being recorded", Error);
}

TEST_CASE("tensor: sizes that no memory holds are errors and cost nothing") {
  const MemoryStats before = memory();
  CHECK_THROWS_WITH_AS(Tensor(Shape{int64_t{1} << 61}),
                       "tensor: too many elements ([2305843009213693952])", Error);
  CHECK_THROWS_WITH_AS(Tensor::zeros({int64_t{1} << 62}),
                       "tensor: too many elements ([4611686018427387904])", Error);
  CHECK_THROWS_WITH_AS(Tensor({int64_t{1} << 46}),  // 2^48 bytes and the canary of the tests
                       "pool: out of memory on cpu (281474976710912 bytes)", Error);
  CHECK(memory().in_use == before.in_use);
  CHECK(memory().reserved <= before.reserved);  // cached blocks went back before it gave up
}

TEST_CASE("tensor: constants and copies are whole for any number of threads") {
  const int former = threads();
  const std::vector<double> expected(300000, 3);
  for (int count : {1, 4}) {
    set_threads(count);
    for (DType type : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8}) {
      const Tensor x = Tensor::full({300, 1000}, 3, type);
      Tensor y({300, 1000}, type);
      y.assign(x);
      const auto values = [&](const Tensor& t) {
        return (type == DType::bf16 ? cast(t, DType::f32) : t).values();
      };
      CHECK(values(x) == expected);
      CHECK(values(y) == expected);
    }
  }
  set_threads(former);
}
