#include <doctest/doctest.h>

#include <cmath>

#include "nn/files.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;
using Doubles = std::vector<double>;

namespace {

std::string big_endian(uint32_t value) {
  const std::string little = bytes_of(value);
  return {little.rbegin(), little.rend()};
}
std::string file_of(int type, const std::vector<uint32_t>& sizes, const std::string& data) {
  std::string out{0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (uint32_t size : sizes) out += big_endian(size);
  return out + data;
}
std::string error_in(const std::string& bytes) {
  return error_of([&] { parse_idx(bytes); });
}

}  // namespace

TEST_CASE("idx: every element type") {
  const auto check = [](int type, const std::string& data, DType dtype, const Doubles& values) {
    const Tensor t = parse_idx(file_of(type, {2}, data));
    CHECK(t.dtype() == dtype);
    CHECK(t.shape() == Shape{2});
    CHECK(t.values() == values);
  };
  check(0x08, "\x03\xff", DType::u8, {3, 255});
  check(0x09, "\x03\xff", DType::i32, {3, -1});
  check(0x0b, std::string("\x01\x02\xff\xfe", 4), DType::i32, {258, -2});
  check(0x0c, std::string("\x01\x02\x03\x04\xff\xff\xff\xfe", 8), DType::i32, {16909060, -2});
  check(0x0d, std::string("\x3f\xc0\0\0\xff\x80\0\0", 8), DType::f32, {1.5, -INFINITY});
  check(0x0e, std::string("\x3f\xb9\x99\x99\x99\x99\x99\x9a\xc0\0\0\0\0\0\0\0", 16), DType::f64,
        {0.1, -2});
}

TEST_CASE("idx: ranks 1 to 8, row by row") {
  const Tensor t = parse_idx(file_of(8, {2, 1, 3}, "\x01\x02\x03\x04\x05\x06"));
  CHECK(t.shape() == Shape{2, 1, 3});
  CHECK(t.values() == Doubles{1, 2, 3, 4, 5, 6});
  CHECK(parse_idx(file_of(8, std::vector<uint32_t>(8, 1), "\x07")).rank() == 8);
  CHECK(parse_idx(file_of(8, {0, 28, 28}, "")).shape() == Shape{0, 28, 28});
}

TEST_CASE("idx: a file") {
  const Folder folder;
  write_file(folder / "labels", file_of(8, {2}, "\x05\x09"));
  CHECK(read_idx(folder / "labels").host<uint8_t>() == std::vector<uint8_t>{5, 9});
  write_file(folder / "x", "no");
  CHECK(error_of([&] { read_idx(folder / "x"); }) == folder / "x: idx: not an IDX file");
}

TEST_CASE("idx: what is refused") {
  const std::string p = "idx: ";
  CHECK(error_in("") == p + "not an IDX file");
  CHECK(error_in(std::string("\0\0\x08", 3)) == p + "not an IDX file");
  CHECK(error_in(std::string("\0\x01\x08\x01\0\0\0\0", 8)) == p + "not an IDX file");
  CHECK(error_in("PK\x08\x01") == p + "not an IDX file");
  CHECK(error_in(file_of(0x0a, {1}, "x")) == p + "unknown element type (10)");
  CHECK(error_in(file_of(0xff, {1}, "x")) == p + "unknown element type (255)");
  CHECK(error_in(file_of(8, {}, "x")) == p + "rank outside 1 to 8 (0)");
  CHECK(error_in(file_of(8, std::vector<uint32_t>(9, 1), "x")) == p + "rank outside 1 to 8 (9)");
  CHECK(error_in(file_of(8, {1, 1}, "").substr(0, 11)) == p + "file ends in the header");
  CHECK(error_in(file_of(8, {2, 3}, "12345")) == p + "data has 5 bytes, shape [2, 3] needs 6");
  CHECK(error_in(file_of(8, {2, 3}, "1234567")) == p + "data has 7 bytes, shape [2, 3] needs 6");
  CHECK(error_in(file_of(0x0e, {1}, "1")) == p + "data has 1 bytes, shape [1] needs 8");
  const uint32_t most = UINT32_MAX;
  CHECK(error_in(file_of(8, {most}, "x")) == p + "data has 1 bytes, shape [4294967295] needs "
                                                 "4294967295");
  CHECK(error_in(file_of(8, {most, most}, "x")) == "shape: too many elements");
  CHECK(error_in(file_of(0x0c, {1u << 31, 1u << 31}, "x")) == p + "shape is too large");
}

TEST_CASE("idx: a file cut or changed anywhere is never a crash") {
  const std::string whole = file_of(0x0b, {2, 1}, "1234");
  CHECK(error_in(whole) == "no error");
  for (size_t n = 0; n < whole.size(); ++n) CHECK(error_in(whole.substr(0, n)) != "no error");
  for (size_t i = 0; i < whole.size(); ++i)
    for (char c : {'\0', '\x01', '\x08', '\x7f', '\xff'}) {
      std::string changed = whole;
      changed[i] = c;
      error_in(changed);
    }
}
