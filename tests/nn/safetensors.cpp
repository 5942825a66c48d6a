#include <doctest/doctest.h>

#include <cmath>

#include "nn/files.h"
#include "sinew/io.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

std::string file_of(const std::string& header, const std::string& data = "") {
  return bytes_of<uint64_t>(header.size()) + header + data;
}
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"a\":" + entry(dtype, shape, offsets) + "}";
}
std::string error_in(const std::string& bytes) {
  return error_of([&] { parse_safetensors(bytes); });
}
template <class T>
std::vector<T> read_one(const std::string& dtype, int64_t n, const std::string& data) {
  const std::string header =
      one(dtype, "[" + std::to_string(n) + "]", "[0," + std::to_string(data.size()) + "]");
  return parse_safetensors(file_of(header, data))[0].tensor.host<T>();
}

}  // namespace

TEST_CASE("safetensors: the golden cases read, in order, with the values that Python reads") {
  struct Row {
    const char* file;
    size_t count;
    double sum;       // of all F32 elements, in f64
    int64_t indices;  // of all I64 elements
  };
  for (const Row& row : {Row{"hash_phase_layer/init", 53, 22.608015481149778, 25828},
                         Row{"hash_phase_layer/grads", 35, 1.2133072896630885, 0},
                         Row{"hash_phase_layer/after", 53, 22.550245136138983, 25828},
                         Row{"mixed_relu_psann/init", 32, 17.203015815466642, 11648},
                         Row{"mixed_relu_psann/grads", 20, -1.0938657709671133, 0},
                         Row{"mixed_relu_psann/after", 32, 17.555274474783801, 11648},
                         Row{"wrap_local_psann/init", 32, -34.280665518250316, 36540},
                         Row{"wrap_local_psann/grads", 20, -1.1128701335014028, 0},
                         Row{"wrap_local_psann/after", 32, -33.848048373991332, 36540}}) {
    CAPTURE(row.file);
    const NamedTensors t =
        read_safetensors(std::string(SINEW_GOLDEN "/") + row.file + ".safetensors");
    REQUIRE(t.size() == row.count);
    CHECK(t.front().name == "blocks.0.alpha");
    CHECK(t.back().name == "head.bias");
    double sum = 0;
    int64_t indices = 0;
    for (const NamedTensor& named : t)
      for (double v : named.tensor.values())
        (named.tensor.dtype() == DType::i32 ? indices += static_cast<int64_t>(v) : sum += v);
    CHECK(sum == doctest::Approx(row.sum).epsilon(1e-12));
    CHECK(indices == row.indices);
  }
}

TEST_CASE("safetensors: every type") {
  CHECK(read_one<float>("F32", 2, bytes_of(1.5f) + bytes_of(-2.f)) == std::vector<float>{1.5, -2});
  CHECK(read_one<double>("F64", 1, bytes_of(0.1)) == std::vector<double>{0.1});
  CHECK(read_one<int32_t>("I32", 1, bytes_of<int32_t>(-7)) == std::vector<int32_t>{-7});
  CHECK(read_one<int32_t>("I64", 2, bytes_of<int64_t>(INT32_MAX) + bytes_of<int64_t>(INT32_MIN)) ==
        std::vector<int32_t>{INT32_MAX, INT32_MIN});
  CHECK(read_one<uint8_t>("U8", 1, "\xff") == std::vector<uint8_t>{255});
  CHECK(read_one<uint8_t>("BOOL", 2, std::string("\x00\x01", 2)) == std::vector<uint8_t>{0, 1});
  // 1, -2, the largest, the smallest, the largest subnormal, -0, infinity, NaN
  std::string halves;
  for (int bits : {0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x8000, 0x7c00, 0x7e00})
    halves += bytes_of(static_cast<uint16_t>(bits));
  const auto f16 = read_one<float>("F16", 8, halves);
  CHECK(f16[0] == 1);
  CHECK(f16[1] == -2);
  CHECK(f16[2] == 65504);
  CHECK(f16[3] == 0x1p-24f);
  CHECK(f16[4] == 1023 * 0x1p-24f);
  CHECK((f16[5] == 0 && std::signbit(f16[5])));
  CHECK(f16[6] == INFINITY);
  CHECK(std::isnan(f16[7]));
  const auto b = parse_safetensors(file_of(
      one("BF16", "[2]", "[0,4]"), bytes_of<uint16_t>(0x3f80) + bytes_of<uint16_t>(0xc049)));
  CHECK(b[0].tensor.dtype() == DType::bf16);
  CHECK(cast(b[0].tensor, DType::f32).host<float>() == std::vector<float>{1, -3.140625f});
}

TEST_CASE("safetensors: round trip of every type, shape and name") {
  const Folder folder;
  const Tensor f32 = Tensor::from(std::vector<float>{1, -2, 3.25, 0, 1e-40f, INFINITY}, {2, 3});
  const NamedTensors out{
      {"u8", Tensor::from(std::vector<uint8_t>{0, 7, 255}, {3})},
      {"f32", f32},
      {"i32", Tensor::from(std::vector<int32_t>{-1, INT32_MAX, INT32_MIN}, {3, 1})},
      {"bf16", cast(f32, DType::bf16)},
      {"f64", cast(f32, DType::f64)},
      {"empty", Tensor({0, 4})},
      {"scalar \"\\\n\xc3\xa4", Tensor::scalar(3)}};
  const std::string path = folder / "a.safetensors";
  write_safetensors(path, out);
  write_safetensors(path, out);  // over an earlier one
  CHECK(folder.files() == 1);
  const NamedTensors in = read_safetensors(path);
  REQUIRE(in.size() == out.size());
  for (size_t i = 0; i < in.size(); ++i) {
    CAPTURE(out[i].name);
    CHECK(in[i].name == out[i].name);
    CHECK(in[i].tensor.dtype() == out[i].tensor.dtype());
    CHECK(in[i].tensor.shape() == out[i].tensor.shape());
    const auto plain = [](const Tensor& t) {
      return t.dtype() == DType::bf16 ? cast(t, DType::f32).values() : t.values();
    };
    CHECK(plain(in[i].tensor) == plain(out[i].tensor));
  }
  const std::string bytes = read_file(path);
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  CHECK(bytes.find("\"i32\":{\"dtype\":\"I64\",\"shape\":[3, 1],\"data_offsets\":[0,24]}") !=
        std::string::npos);
  write_safetensors(path, {});
  CHECK(read_safetensors(path).empty());
}

TEST_CASE("safetensors: metadata is allowed, tensors may lie in any order") {
  const std::string header =
      "{\"__metadata__\":{\"format\":\"pt\"},\"b\":" + entry("U8", "[2]", "[1,3]") +
      ",\"e\":" + entry("F32", "[0]", "[1,1]") + ",\"a\":" + entry("U8", "[]", "[0,1]") + "}  ";
  const NamedTensors t = parse_safetensors(file_of(header, "xyz"));
  REQUIRE(t.size() == 3);
  CHECK(t[0].name == "b");
  CHECK(t[0].tensor.host<uint8_t>() == std::vector<uint8_t>{'y', 'z'});
  CHECK(t[2].tensor.item<uint8_t>() == 'x');
}

TEST_CASE("safetensors: hostile headers") {
  const std::string p = "safetensors: ", a = p + "tensor 'a' ";
  CHECK(error_in("") == p + "file is shorter than 8 bytes (0)");
  CHECK(error_in("1234567") == p + "file is shorter than 8 bytes (7)");
  CHECK(error_in(bytes_of(UINT64_MAX) + "{}") ==
        p + "header is too long (18446744073709551615 bytes)");
  CHECK(error_in(bytes_of<uint64_t>(100'000'001) + "{}") ==
        p + "header is too long (100000001 bytes)");
  CHECK(error_in(bytes_of<uint64_t>(3) + "{}") == p + "header goes beyond the file (3 of 2 bytes)");
  CHECK(error_in(file_of("")) == p + "header does not start with {");
  CHECK(error_in(file_of("[]")) == p + "header does not start with {");
  CHECK(error_in(file_of("{\"a\"")) == p + "header is not JSON (at byte 5)");
  CHECK(error_in(file_of("{}{}")) == p + "header is not JSON (at byte 3)");
  CHECK(error_in(file_of("{\"\xff\":1}")) == p + "header is not JSON (at byte 3)");
  const std::string deep(400000, '[');
  CHECK(error_in(file_of("{\"a\":" + deep)) == a + "unexpected a list in the header");
  CHECK(error_in(file_of("{\"a\":{\"shape\":" + deep)) == a + "unexpected a list in the header");
  std::string objects;
  for (int i = 0; i < 400000; ++i) objects += "{\"a\":";
  CHECK(error_in(file_of(objects)) == a + "unknown key 'a'");
  CHECK(error_in(file_of("{\"__metadata__\":" + objects)) ==
        p + "header: unexpected an object in the header");
  CHECK(error_in(file_of("{\"a\":1}")) == a + "unexpected a number in the header");
  CHECK(error_in(file_of("{\"a\":null}")) == a + "unexpected null in the header");
  CHECK(error_in(file_of("{\"a\":true}")) == a + "unexpected a boolean in the header");
  CHECK(error_in(file_of("{\"a\":\"x\"}")) == a + "unexpected text in the header");
  CHECK(error_in(file_of("{\"a\":{\"dtype\":{}}}")) == a + "unexpected an object in the header");
  CHECK(error_in(file_of("{\"a\":{}}")) == a + "needs dtype, shape and two data_offsets");
  CHECK(error_in(file_of("{\"a\":{\"size\":1}}")) == a + "unknown key 'size'");
  CHECK(error_in(file_of("{\"a\":{\"shape\":[1],\"shape\":[1]}}")) == a + "shape is given twice");
  CHECK(error_in(file_of("{\"a\\nb\":1}")) ==
        p + "tensor 'a\\x0ab' unexpected a number in the header");  // one line
}

TEST_CASE("safetensors: hostile shapes and offsets") {
  const std::string p = "safetensors: ", a = p + "tensor 'a' ";
  const auto error = [](const char* dtype, const char* shape, const char* offsets) {
    return error_in(file_of(one(dtype, shape, offsets), "12345678"));
  };
  CHECK(error("F32", "[2]", "[0,8]") == "no error");
  CHECK(error("F32", "[3]", "[0,12]") == a + "lies outside the file (bytes 0 to 12 of 8)");
  CHECK(error("F32", "[2]", "[8,0]") == a + "lies outside the file (bytes 8 to 0 of 8)");
  CHECK(error("F32", "[1]", "[0,8]") == a + "has 8 bytes, its shape needs 4");
  CHECK(error("F32", "[2]", "[0,8,9]") == a + "data_offsets has more than 2 numbers");
  CHECK(error("F32", "[2]", "[0]") == a + "needs dtype, shape and two data_offsets");
  CHECK(error("F32", "[-2]", "[0,8]") == a + "a number is negative (-2)");
  CHECK(error("F32", "[2.0]", "[0,8]") == a + "a number is not whole or too large (2.0)");
  CHECK(error("F32", "[99999999999999999999]", "[0,8]") ==
        a + "a number is not whole or too large (99999999999999999999)");
  CHECK(error("F32", "[18446744073709551615]", "[0,8]") == a + "shape is too large");
  CHECK(error("F32", "[4611686018427387905,1,4]", "[0,8]") == a + "shape is too large");
  CHECK(error("U8", "[9223372036854775807,2]", "[0,8]") ==
        a + "has 8 bytes, its shape needs 18446744073709551614");
  CHECK(error("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") == a + "rank is above 8");
  CHECK(error("F8_E4M3", "[8]", "[0,8]") == a + "has a dtype that is not supported (F8_E4M3)");
  CHECK(error("U8", "[2]", "[2,4]") == p + "bytes 0 to 2 of the data belong to no tensor");
  CHECK(error("U8", "[2]", "[0,2]") == p + "bytes 2 to 8 of the data belong to no tensor");
  const std::string eight(8, '\x7f');
  CHECK(error_in(file_of(one("I64", "[1]", "[0,8]"), eight)) ==
        a + "has a value that i32 cannot hold (9187201950435737471)");
  const auto two = [](const char* name, const char* first, const char* second) {
    return error_in(file_of("{\"a\":" + entry("U8", "[2]", first) + ",\"" + name +
                                "\":" + entry("U8", "[2]", second) + "}",
                            "1234"));
  };
  CHECK(two("b", "[2,4]", "[0,2]") == "no error");
  CHECK(two("b", "[0,2]", "[1,3]") == p + "tensor 'b' overlaps another one");
  CHECK(two("a", "[0,2]", "[2,4]") == p + "tensor 'a' occurs twice");
}

TEST_CASE("safetensors: a file cut anywhere is an error, never a crash") {
  const std::string whole = file_of(
      "{\"a\":" + entry("F32", "[2]", "[0,8]") + ",\"b\":" + entry("I64", "[1]", "[8,16]") + "}",
      std::string(16, '\0'));
  CHECK(error_in(whole) == "no error");
  for (size_t n = 0; n < whole.size(); ++n) CHECK(error_in(whole.substr(0, n)) != "no error");
  for (size_t i = 0; i < whole.size() - 16; ++i)  // each byte of the header, changed
    for (char c : {'\0', '"', '9', '[', '}', '\xff'}) {
      std::string changed = whole;
      changed[i] = c;
      error_in(changed);
    }
}

TEST_CASE("safetensors: reading and writing name their errors") {
  const Folder folder;
  const std::string path = folder / "a.safetensors";
  write_file(path, "short");
  CHECK(error_of([&] { read_safetensors(path); }) ==
        path + ": safetensors: file is shorter than 8 bytes (5)");
  CHECK(error_of([&] {
          write_safetensors(path, {{"a", Tensor()}});
        }) == "safetensors: tensor 'a' is undefined");
  CHECK(error_of([&] {
          write_safetensors(path, {{"a", Tensor({1})}, {"a", Tensor({1})}});
        }) == "safetensors: tensor 'a' occurs twice");
  CHECK(error_of([&] {
          write_safetensors(path, {{"__metadata__", Tensor({1})}});
        }) == "safetensors: tensor '__metadata__' occurs twice");
  CHECK(error_of([&] {
          write_safetensors(path, {{"\xff", Tensor({1})}});
        }) == "safetensors: tensor name is not UTF-8 ('\\xff')");
  CHECK(read_file(path) == "short");
}
