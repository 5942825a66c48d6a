#include <doctest/doctest.h>

#include <cmath>

#include "nn/files.h"
#include "sinew/io.h"
#include "sinew/ops.h"

using namespace sinew;
using namespace sinew::test;

namespace {

std::string file_of(const std::string& header, const std::string& data, int version = 1) {
  const auto n = header.size();
  return "\x93NUMPY" + std::string(1, static_cast<char>(version)) + '\0' +
         (version == 1 ? bytes_of(static_cast<uint16_t>(n)) : bytes_of(static_cast<uint32_t>(n))) +
         header + data;
}
std::string header_of(const std::string& descr, const std::string& shape,
                      const char* order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }  \n";
}
std::string error_in(const std::string& bytes, DType dtype = DType::f32) {
  return error_of([&] { parse_npy(bytes, dtype); });
}
template <class T>
std::vector<double> read(const std::string& descr, std::vector<T> values, DType to = DType::f64) {
  std::string data;
  for (T v : values) data += bytes_of(v);
  return parse_npy(file_of(header_of(descr, "(" + std::to_string(values.size()) + ",)"), data), to)
      .values();
}
using Doubles = std::vector<double>;

}  // namespace

TEST_CASE("npy: the golden cases read with the values that NumPy reads") {
  struct Row {
    const char* folder;
    int64_t features, outputs;
    float first, last;  // X[0, 1], X[255, -1]
    double sum;         // of X in f64
  };
  for (const Row& row :
       {Row{"hash_phase_layer", 28, 1, -1.85462809f, -1.52368593f, 3.2043010562629206},
        Row{"mixed_relu_psann", 16, 1, -1.85462809f, 0.622987747f, 90.587136244110297},
        Row{"wrap_local_psann", 30, 2, -1.85462809f, -0.617752612f, -33.683329498904641}}) {
    const std::string folder = std::string(SINEW_GOLDEN "/") + row.folder + "/";
    const Tensor x = read_npy(folder + "X.npy");
    CHECK(x.shape() == Shape{256, row.features});
    CHECK(x.dtype() == DType::f32);
    CHECK(x.host<float>()[1] == row.first);
    CHECK(x.host<float>().back() == row.last);
    CHECK(sum(cast(x, DType::f64)).value() == doctest::Approx(row.sum).epsilon(1e-12));
    for (const char* name : {"T", "Y_init", "Y_after"})
      CHECK(read_npy(folder + name + ".npy").shape() == Shape{256, row.outputs});
  }
}

TEST_CASE("npy: every element type to f32, f64 and i32") {
  for (DType to : {DType::f32, DType::f64, DType::i32}) {
    CHECK(read<float>("<f4", {3, -2}, to) == Doubles{3, -2});
    CHECK(read<double>("<f8", {3, -2}, to) == Doubles{3, -2});
    CHECK(read<uint16_t>("<f2", {0x4200, 0xc000}, to) == Doubles{3, -2});
    CHECK(read<int8_t>("|i1", {3, -128}, to) == Doubles{3, -128});
    CHECK(read<int8_t>("<i1", {3}, to) == Doubles{3});
    CHECK(read<uint8_t>("|u1", {3, 255}, to) == Doubles{3, 255});
    CHECK(read<uint8_t>("|b1", {0, 1, 2}, to) == Doubles{0, 1, 1});
    CHECK(read<int16_t>("<i2", {3, -32768}, to) == Doubles{3, -32768});
    CHECK(read<uint16_t>("<u2", {65535}, to) == Doubles{65535});
    CHECK(read<int32_t>("<i4", {3, -2}, to) == Doubles{3, -2});
    CHECK(read<uint32_t>("<u4", {3}, to) == Doubles{3});
    CHECK(read<int64_t>("<i8", {3, -2}, to) == Doubles{3, -2});
    CHECK(read<uint64_t>("<u8", {3}, to) == Doubles{3});
  }
  CHECK(read<double>("<f8", {0.1}) == Doubles{0.1});
  CHECK(read<uint64_t>("<u8", {UINT64_MAX}) == Doubles{0x1p64});
  CHECK(read<int64_t>("<i8", {INT32_MIN, INT32_MAX}, DType::i32) == Doubles{INT32_MIN, INT32_MAX});
}

TEST_CASE("npy: versions, order of keys, ranks, Fortran order") {
  const std::string six =
      bytes_of(0.f) + bytes_of(1.f) + bytes_of(2.f) + bytes_of(3.f) + bytes_of(4.f) + bytes_of(5.f);
  for (int version : {1, 2, 3}) {
    const Tensor t = parse_npy(file_of(header_of("<f4", "(2, 3)"), six, version));
    CHECK(t.shape() == Shape{2, 3});
    CHECK(t.values() == Doubles{0, 1, 2, 3, 4, 5});
  }
  const Tensor t = parse_npy(file_of(header_of("<f4", "(2, 3)", "True"), six));
  CHECK(t.shape() == Shape{2, 3});
  CHECK(t.values() == Doubles{0, 2, 4, 1, 3, 5});
  CHECK(parse_npy(file_of(header_of("<f4", "(1, 3, 2)", "True"), six)).values() ==
        Doubles{0, 3, 1, 4, 2, 5});
  CHECK(parse_npy(file_of("{\"shape\":(6,),\"fortran_order\":True,\"descr\":\"<f4\"}", six))
            .shape() == Shape{6});
  CHECK(parse_npy(file_of(header_of("<f4", "()"), bytes_of(7.f))).value() == 7);
  CHECK(parse_npy(file_of(header_of("<f4", "(0, 5)"), "")).shape() == Shape{0, 5});
}

TEST_CASE("npy: round trip") {
  const Folder folder;
  const std::string path = folder / "a.npy";
  const auto through = [&](const Tensor& t, DType dtype) {
    write_npy(path, t);
    const Tensor back = read_npy(path, dtype);
    CHECK(back.shape() == t.shape());
    return back.values() == t.values();
  };
  const Tensor f64 = Tensor::from(Doubles{0.1, -2, INFINITY, 1e-310, 3, 0}, {3, 2});
  CHECK(through(f64, DType::f64));
  CHECK(through(cast(f64, DType::f32), DType::f32));
  CHECK(through(Tensor::from(std::vector<int32_t>{INT32_MIN, 0, INT32_MAX}, {3}), DType::i32));
  CHECK(through(Tensor::from(std::vector<uint8_t>{0, 255}, {2, 1}), DType::f32));
  CHECK(through(Tensor::scalar(5), DType::f32));
  CHECK(through(Tensor({0, 3}), DType::f32));
  CHECK(folder.files() == 1);
  write_npy(path, Tensor::from(std::vector<int32_t>{1, 2}, {2}));
  const std::string bytes = read_file(path);
  CHECK(bytes.size() == 128 + 16);
  CHECK(bytes.substr(10, 52) == "{'descr': '<i8', 'fortran_order': False, 'shape': (2");
  CHECK(bytes[127] == '\n');
}

TEST_CASE("npy: what is refused") {
  const std::string p = "npy: ", four = bytes_of(1.f);
  const auto error = [&](const char* descr, const char* shape) {
    return error_in(file_of(header_of(descr, shape), four));
  };
  CHECK(error("<f4", "(1,)") == "no error");
  CHECK(error_in("") == p + "not an NPY file");
  CHECK(error_in("\x93NUMPZ\x01") == p + "not an NPY file");
  CHECK(error_in(std::string(20, 'x')) == p + "not an NPY file");
  CHECK(error_in(file_of("", "", 4)) == p + "unknown version (4)");
  CHECK(error_in(file_of("", "", 2).substr(0, 11)) == p + "file ends in the header");
  CHECK(error_in(file_of(header_of("<f4", "(1,)"), "").substr(0, 30)) ==
        p + "file ends in the header");
  CHECK(error("<f4", "(2,)") == p + "data has 4 bytes, shape [2] needs 8");
  CHECK(error("<f2", "(1,)") == p + "data has 4 bytes, shape [1] needs 2");
  CHECK(error("<f4", "(1000000, 1000000, 1000)") ==
        p + "data has 4 bytes, shape [1000000, 1000000, 1000] needs 4000000000000000");
  CHECK(error("<f4", "(9223372036854775807, 9)") == "shape: too many elements");
  CHECK(error("<f4", "(9223372036854775807,)") == p + "shape is too large");
  CHECK(error("<f4", "(9223372036854775808,)") == p + "shape is too large");
  CHECK(error("<f4", "(-1,)") == p + "shape has a negative size");
  CHECK(error("<f4", "(1,1,1,1,1,1,1,1,1)") == p + "rank is above 8");
  CHECK(error(">f4", "(1,)") == p + "byte order is not little-endian ('>f4')");
  CHECK(error("|f4", "(1,)") == p + "byte order is not little-endian ('|f4')");
  CHECK(error("<c8", "(1,)") == p + "element type is not supported ('<c8')");
  CHECK(error("|O", "(1,)") == p + "element type is not supported ('|O')");
  CHECK(error("<U1", "(1,)") == p + "element type is not supported ('<U1')");
  CHECK(error("<M8[s]", "(1,)") == p + "element type is not supported ('<M8[s]')");
  CHECK(error("", "(1,)") == p + "element type is not supported ('')");
  CHECK(error_in(file_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                         four)) == p + "records are not supported");
  CHECK(error_in(file_of("{'descr': '<f4', 'x': 1}", four)) ==
        p + "unexpected key 'x' in the header");
  CHECK(error_in(file_of("{'descr': '<f4', 'descr': '<f4'}", four)) ==
        p + "unexpected key 'descr' in the header");
  CHECK(error_in(file_of("{'descr': '<f4'}", four)) == p + "malformed header (at byte 16)");
  CHECK(error_in(file_of("{'descr'", four)) == p + "malformed header (at byte 8)");
  CHECK(error_in(file_of(header_of("<f4", "(1,)", "Maybe"), four)) ==
        p + "malformed header (at byte 34)");
  CHECK(error_in(file_of(header_of("<f4", "(1 1)"), four)) == p + "malformed header (at byte 53)");
  CHECK(error_in(file_of(header_of("<f4", "(1,)"), four), DType::u8) ==
        p + "reads to f32, f64 or i32 only (u8)");
  CHECK(error_of([] { read<double>("<f8", {0.5}, DType::i32); }) ==
        p + "a value is not an integer that i32 can hold (0.500000)");
  CHECK(error_of([] { read<double>("<f8", {NAN}, DType::i32); }) ==
        p + "a value is not an integer that i32 can hold (nan)");
  CHECK(error_of([] { read<double>("<f8", {0x1p31}, DType::i32); }) ==
        p + "a value is not an integer that i32 can hold (2147483648.000000)");
  CHECK(error_of([] { read<int64_t>("<i8", {int64_t{1} << 32}, DType::i32); }) ==
        p + "a value is not an integer that i32 can hold (4294967296)");
  CHECK(error_of([] { write_npy("/dev/null", Tensor({1}, DType::bf16)); }) ==
        p + "cannot hold bf16; cast to f32 first");
  CHECK(error_of([] { write_npy("/dev/null", Tensor()); }) == p + "tensor is undefined");
  const Folder folder;
  write_file(folder / "x", "no");
  CHECK(error_of([&] { read_npy(folder / "x"); }) == folder / "x: npy: not an NPY file");
}

TEST_CASE("npy: a file cut or changed anywhere is never a crash") {
  const std::string whole = file_of(header_of("<f4", "(2, 1)", "True"), std::string(8, '\0'));
  CHECK(error_in(whole) == "no error");
  for (size_t n = 0; n < whole.size(); ++n) CHECK(error_in(whole.substr(0, n)) != "no error");
  for (size_t i = 0; i < whole.size() - 8; ++i)
    for (char c : {'\0', '\'', '9', '(', ')', '\xff'}) {
      std::string changed = whole;
      changed[i] = c;
      error_in(changed);
    }
}

TEST_CASE("npy: the kind of elements") {
  const auto kind = [](const std::string& descr) {
    return npy_dtype(file_of(header_of(descr, "(0,)"), ""));
  };
  for (const char* descr : {"<f2", "<f4"}) CHECK(kind(descr) == DType::f32);
  CHECK(kind("<f8") == DType::f64);
  for (const char* descr : {"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"})
    CHECK(kind(descr) == DType::i32);
  CHECK(error_of([&] { kind("<c8"); }) == "npy: element type is not supported ('<c8')");
  CHECK(error_of([] { npy_dtype("text"); }) == "npy: not an NPY file");
}
