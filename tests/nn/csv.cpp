#include <doctest/doctest.h>

#include <bit>
#include <cfloat>
#include <cmath>

#include "nn/files.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;
using Doubles = std::vector<double>;
using Names = std::vector<std::string>;

namespace {

std::string error_in(const std::string& text) {
  return error_of([&] { parse_csv(text); });
}

}  // namespace

TEST_CASE("csv: numbers, with and without a header") {
  const Table plain = parse_csv("1,2.5,-3e2\n+4, .5 ,0\n");
  CHECK(plain.columns.empty());
  CHECK(plain.values.dtype() == DType::f32);
  CHECK(plain.values.shape() == Shape{2, 3});
  CHECK(plain.values.values() == Doubles{1, 2.5, -300, 4, 0.5, 0});
  const Table named = parse_csv("a,\"b, \"\"c\"\"\",3\n1,2,3", DType::f64);
  CHECK(named.columns == Names{"a", "b, \"c\"", "3"});
  CHECK(named.values.shape() == Shape{1, 3});
  CHECK(named.values.dtype() == DType::f64);
  CHECK(parse_csv("0.1", DType::f64).values.value() == 0.1);
}

TEST_CASE("csv: line ends, byte order mark, quotes, blank lines at the end, nan") {
  const Table t = parse_csv("\xef\xbb\xbfx,y\r\n1,\"2\"\r\n \"3\" ,4\r\n\r\n\n");
  CHECK(t.columns == Names{"x", "y"});
  CHECK(t.values.values() == Doubles{1, 2, 3, 4});
  const auto special = parse_csv("1,nan,inf,-inf").values.host<float>();
  CHECK(std::isnan(special[1]));
  CHECK(special[3] == -INFINITY);
  CHECK(parse_csv("1\n2\n3").values.shape() == Shape{3, 1});
}

TEST_CASE("csv: a number is rounded to f32 once") {
  CHECK(parse_csv("7.038531e-26").values.item<float>() == 7.038531e-26f);  // not by way of f64
  CHECK(parse_csv("1e-45,-1e-60,3.4e38").values.host<float>() ==
        std::vector<float>{1e-45f, 0, 3.4e38f});
  CHECK(parse_csv("1e39", DType::f64).values.value() == 1e39);
  CHECK(error_in("1,1e39") == "csv: line 1, column 2: number out of range (1e39)");
}

TEST_CASE("csv: what is written reads back") {
  const Folder folder;
  const std::string path = folder / "a.csv";
  const std::vector<float> f32 = {0.1f, -0.0f, 7.038531e-26f, 1e-45f, FLT_MAX, 16777216};
  write_csv(path, {{"x", "y, \"z\"", "3"}, Tensor::from(f32, {2, 3})});
  CHECK(read_file(path) ==
        "x,\"y, \"\"z\"\"\",3\n0.1,-0,7.038531e-26\n1e-45,3.4028235e+38,16777216\n");
  const Table back = read_csv(path);
  CHECK(back.columns == Names{"x", "y, \"z\"", "3"});
  CHECK(back.values.shape() == Shape{2, 3});
  CHECK(back.values.host<float>() == f32);
  CHECK(std::signbit(back.values.host<float>()[1]));

  const Doubles f64 = {0.1, 1.0 / 3, -DBL_MAX, DBL_MIN, 4.9e-324, INFINITY, -INFINITY, 1e15};
  write_csv(path, {{}, Tensor::from(f64, {8, 1})});
  CHECK(read_csv(path, DType::f64).columns.empty());
  CHECK(read_csv(path, DType::f64).values.host<double>() == f64);

  write_csv(path, {{}, Tensor::from(std::vector<int32_t>{INT32_MIN, 0, 7, INT32_MAX}, {2, 2})});
  CHECK(read_file(path) == "-2147483648,0\n7,2147483647\n");
  CHECK(to_csv({{}, Tensor::from(Doubles{NAN, 2}, {1, 2})}) == "nan,2\n");
  CHECK(folder.files() == 1);
}

TEST_CASE("csv: random bits read back") {
  std::vector<float> values;
  for (uint32_t i = 0; i < 20000; ++i) {
    const float v = std::bit_cast<float>(i * 2654435761u);
    values.push_back(std::isnan(v) ? 0 : v);
  }
  const Tensor t = Tensor::from(values, {5000, 4});
  CHECK(parse_csv(to_csv({{}, t})).values.host<float>() == values);
}

TEST_CASE("csv: names read back") {
  for (const std::string name :
       {"\xef\xbb\xbf", "\xef\xbb\xbfx", "\"", "a\r", "x y", "1,", "\xc3\xa9", "+", "0x1"}) {
    const Table table{{name, "1"}, Tensor::zeros({1, 2})};
    CHECK(parse_csv(to_csv(table)).columns == table.columns);
  }
}

TEST_CASE("csv: what is not written") {
  const Tensor t = Tensor::zeros({1, 2});
  const auto error = [](const Table& table) { return error_of([&] { to_csv(table); }); };
  CHECK(error({{"a"}, t}) == "csv: 1 names for 2 columns");
  CHECK(error({{"a", " \t"}, t}) == "csv: name of column 2 is empty");
  CHECK(error({{"a\nb", "c"}, t}) == "csv: name of column 1 has a line break ('a\\x0ab')");
  CHECK(error({{"1", "inf"}, t}) == "csv: names that are all numbers would read as a row");
  CHECK(error({{}, Tensor()}) == "csv: values are undefined");
  CHECK(error({{}, Tensor::zeros({2})}) == "csv: needs rows and columns [2]");
  CHECK(error({{}, Tensor::zeros({0, 2})}) == "csv: needs rows and columns [0, 2]");
  CHECK(error({{}, Tensor::zeros({1, 1}, DType::u8)}) == "csv: writes f32, f64 or i32 only (u8)");
  const Folder folder;
  CHECK(error_of([&] { write_csv(folder.path, {{}, t}); }) == folder.path + ": is a folder");
}

TEST_CASE("csv: errors say where") {
  CHECK(error_in("") == "csv: no rows");
  CHECK(error_in("\n\n") == "csv: no rows");
  CHECK(error_in("a,b\n") == "csv: no rows below the header");
  CHECK(error_in("a,b\n1,2\n3,x\n") == "csv: line 3, column 2 (b): not a number ('x')");
  CHECK(error_in("1,2\n3,4 5\n") == "csv: line 2, column 2: not a number ('4 5')");
  CHECK(error_in("1,2\n3,0x10\n") == "csv: line 2, column 2: not a number ('0x10')");
  CHECK(error_in("1,2\n3,+-4\n") == "csv: line 2, column 2: not a number ('+-4')");
  CHECK(error_in("1,2\n3,\n") == "csv: line 2, column 2: empty cell");
  CHECK(error_in("1,2\n,3\n") == "csv: line 2, column 1: empty cell");
  CHECK(error_in("1\n\n2\n") == "csv: line 2, column 1: empty cell");
  CHECK(error_in("a,,c\n1,2,3\n") == "csv: line 1, column 2: empty cell");
  CHECK(error_in("1,2\n3\n") == "csv: line 2, column 1: the row ends here, the first has 2");
  CHECK(error_in("1,2\n3,4\n5,6,7\n") == "csv: line 3, column 3: the first row has 2 cells only");
  CHECK(error_in("1,2\n3,1e999\n") == "csv: line 2, column 2: number out of range (1e999)");
  CHECK(error_in("1e999,2\n") == "csv: line 1, column 1: number out of range (1e999)");
  CHECK(error_in("a,\"b\n1,2\n") == "csv: line 1, column 2: a quote is not closed");
  CHECK(error_in("a,b\n1,\"2\"3\n") == "csv: line 2, column 2 (b): text after a quoted cell");
  CHECK(error_in(std::string("1,2\n3,4\0\n", 9)) ==
        "csv: line 2, column 2: not a number ('4\\x00')");
  CHECK(error_in("1\n" + std::string(500, 'x')) ==
        "csv: line 2, column 1: not a number ('" + std::string(80, 'x') + "...')");
  CHECK(error_of([] { parse_csv("1", DType::i32); }) == "csv: reads to f32 or f64 only (i32)");
  const Folder folder;
  write_file(folder / "x.csv", "1\nb\n");
  CHECK(error_of([&] { read_csv(folder / "x.csv"); }) ==
        folder / "x.csv: csv: line 2, column 1: not a number ('b')");
}

TEST_CASE("csv: any text ends in a table or an error") {
  const std::string whole = "a,\"b\"\n1.5, 2\n\"3\",4e1\n";
  for (size_t n = 0; n < whole.size(); ++n) error_in(whole.substr(0, n));
  for (size_t i = 0; i < whole.size(); ++i)
    for (char c : {'\0', '"', ',', '\n', '\r', '\xff', '9'}) {
      std::string changed = whole;
      changed[i] = c;
      error_in(changed);
    }
}
