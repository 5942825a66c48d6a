#include <doctest/doctest.h>

#include "sinew/dtype.h"
#include "sinew/error.h"
#include "sinew/shape.h"

using namespace sinew;

namespace {

constexpr int64_t huge = int64_t{1} << 61;

}  // namespace

TEST_CASE("shape: sizes, rank and number of elements") {
  const Shape s{4, 3};
  CHECK(s.rank() == 2);
  CHECK(s.numel() == 12);
  CHECK(s[0] == 4);
  CHECK(std::vector<int64_t>(s.begin(), s.end()) == std::vector<int64_t>{4, 3});
  CHECK(Shape{}.rank() == 0);
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{4, 0, 3}.numel() == 0);
  CHECK(Shape{huge, 3}.numel() == 3 * huge);
  CHECK(Shape(std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}).rank() == 8);
  CHECK(Shape{}.str() == "[]");
  CHECK(Shape{7}.str() == "[7]");
  CHECK(s.str() == "[4, 3]");
}

TEST_CASE("shape: equality needs the same rank and the same sizes") {
  CHECK(Shape{4, 3} == Shape(std::vector<int64_t>{4, 3}));
  CHECK_FALSE(Shape{4, 3} == Shape{3, 4});
  CHECK_FALSE(Shape{4, 3} == Shape{4, 3, 1});
  CHECK_FALSE(Shape{} == Shape{1});
  CHECK_FALSE(Shape{4, 3} == Shape{4});
}

TEST_CASE("shape: axes count from either end") {
  const Shape s{4, 3, 5};
  for (int a = 0; a < 3; ++a) {
    CHECK(s.axis(a) == a);
    CHECK(s.axis(a - 3) == a);
    CHECK(s.dim(a) == s[a]);
    CHECK(s.dim(a - 3) == s[a]);
  }
  CHECK(s.last() == 5);
  CHECK_THROWS_WITH_AS(s.dim(3), "shape: axis out of range (axis 3 of [4, 3, 5])", Error);
  CHECK_THROWS_WITH_AS(s.axis(-4), "shape: axis out of range (axis -4 of [4, 3, 5])", Error);
  CHECK_THROWS_WITH_AS(Shape{}.last(), "shape: axis out of range (axis -1 of [])", Error);
}

TEST_CASE("shape: one size replaced or removed") {
  const Shape s{4, 3, 5};
  CHECK(s.with(0, 7) == Shape{7, 3, 5});
  CHECK(s.with(-1, 0) == Shape{4, 3, 0});
  CHECK(s.without(0) == Shape{3, 5});
  CHECK(s.without(-2) == Shape{4, 5});
  CHECK(Shape{4}.without(0) == Shape{});
  CHECK(s == Shape{4, 3, 5});  // both return new shapes
  CHECK_THROWS_WITH_AS(s.with(3, 1), "shape: axis out of range (axis 3 of [4, 3, 5])", Error);
  CHECK_THROWS_WITH_AS(s.without(-4), "shape: axis out of range (axis -4 of [4, 3, 5])", Error);
  CHECK_THROWS_WITH_AS(Shape({4, 4}).with(0, -1), "shape: negative size (-1)", Error);
  CHECK_THROWS_WITH_AS(Shape({huge, 0}).with(1, 8), "shape: too many elements", Error);
}

TEST_CASE("shape: rank above 8, negative sizes and overflow are errors") {
  CHECK_THROWS_WITH_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), "shape: rank above 8 (9)", Error);
  CHECK_THROWS_WITH_AS(Shape(std::vector<int64_t>(12, 1)), "shape: rank above 8 (12)", Error);
  CHECK_THROWS_WITH_AS((Shape{3, -2}), "shape: negative size (-2)", Error);
  CHECK_THROWS_WITH_AS(Shape(std::vector<int64_t>{-1}), "shape: negative size (-1)", Error);
  CHECK_THROWS_WITH_AS((Shape{huge, 4}), "shape: too many elements", Error);
  CHECK_THROWS_WITH_AS((Shape{huge, 8}), "shape: too many elements", Error);  // 0 modulo 2^64
  CHECK_THROWS_WITH_AS((Shape{0, huge, 4}), "shape: too many elements", Error);
}

TEST_CASE("shape: broadcast of two shapes, in both orders") {
  struct Row {
    Shape a, b, out;
  };
  const Row rows[] = {
      {{}, {}, {}},          {{4, 3}, {4, 3}, {4, 3}}, {{}, {2, 3}, {2, 3}},
      {{3}, {2, 3}, {2, 3}}, {{3, 1}, {1, 4}, {3, 4}}, {{2, 1, 3}, {5, 1}, {2, 5, 3}},
      {{1}, {1, 1}, {1, 1}}, {{0}, {1}, {0}},          {{4, 0}, {4, 1}, {4, 0}}};
  for (const Row& row : rows) {
    CAPTURE(row.out.str());
    CHECK(broadcast("add", row.a, row.b) == row.out);
    CHECK(broadcast("add", row.b, row.a) == row.out);
  }
  CHECK_THROWS_WITH_AS(broadcast("add", {4, 3}, {2}),
                       "add: shapes do not broadcast: [4, 3] and [2]", Error);
  CHECK_THROWS_WITH_AS(broadcast("mul", {0}, {2}), "mul: shapes do not broadcast: [0] and [2]",
                       Error);
  CHECK_THROWS_WITH_AS(broadcast("add", {huge, 1}, {1, 8}), "shape: too many elements", Error);
}

TEST_CASE("dtype: names, sizes and kinds") {
  struct Row {
    DType type;
    const char* text;
    int64_t bytes;
    bool floating;
  };
  const Row rows[] = {{DType::f32, "f32", 4, true},
                      {DType::f64, "f64", 8, true},
                      {DType::bf16, "bf16", 2, true},
                      {DType::i32, "i32", 4, false},
                      {DType::u8, "u8", 1, false}};
  for (const Row& row : rows) {
    CHECK(std::string(name(row.type)) == row.text);
    CHECK(size_of(row.type) == row.bytes);
    CHECK(is_floating(row.type) == row.floating);
  }
}
