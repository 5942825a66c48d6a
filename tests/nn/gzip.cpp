#include <doctest/doctest.h>

#include "nn/files.h"
#include "sinew/io.h"

#ifdef SINEW_ZLIB
#define ZLIB_CONST
#include <zlib.h>

#endif

using namespace sinew;
using namespace sinew::test;

TEST_CASE("gzip: known by its first two bytes") {
  CHECK(is_gzip("\x1f\x8b\x08"));
  CHECK_FALSE(is_gzip("\x1f"));
  CHECK_FALSE(is_gzip("\x8b\x1f"));
  CHECK_FALSE(is_gzip(""));
}

#ifdef SINEW_ZLIB
namespace {

std::string compressed(const std::string& contents, int level = 6) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, contents.size()), '\0');
  stream.next_in = reinterpret_cast<const Bytef*>(contents.data());
  stream.avail_in = static_cast<uInt>(contents.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string error_in(const std::string& bytes) {
  return error_of([&] { gunzip(bytes); });
}

}  // namespace

TEST_CASE("gzip: contents come back") {
  // printf 'one two' | gzip -n
  const std::string made_elsewhere(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\xcf\x4b\x55\x28\x29\xcf\x07\x00\x2f\x89\x07\xcd"
      "\x07\x00\x00\x00",
      27);
  CHECK(gunzip(made_elsewhere) == "one two");
  std::string mixed;
  for (uint32_t i = 0; i < 100000; ++i) mixed += bytes_of(i * 2654435761u);
  for (const std::string& contents :
       {std::string(), std::string("x"), std::string(65535, 'a'), std::string(65536, 'b'),
        std::string(131072, 'c'), std::string(1000001, 'd'), mixed})
    for (int level : {0, 1, 9}) CHECK(gunzip(compressed(contents, level)) == contents);
}

TEST_CASE("gzip: members follow each other") {
  const std::string two = compressed("first ") + compressed(std::string(70000, 'x'));
  CHECK(gunzip(two + compressed("") + compressed(" last")) ==
        "first " + std::string(70000, 'x') + " last");
}

TEST_CASE("gzip: what is refused") {
  const std::string whole = compressed("some contents");
  const auto changed = [&](size_t i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    return error_in(bytes);
  };
  const std::string p = "gzip: ", cut = p + "file ends in the middle";
  for (size_t n = 0; n < whole.size(); ++n) CHECK(error_in(whole.substr(0, n)) == cut);
  CHECK(error_in(whole + whole.substr(0, 9)) == cut);
  CHECK(changed(whole.size() - 8) == p + "file is corrupt (incorrect data check)");
  CHECK(changed(whole.size() - 1) == p + "file is corrupt (incorrect length check)");
  CHECK(changed(0) == p + "file is corrupt (incorrect header check)");
  CHECK(changed(2) == p + "file is corrupt (unknown compression method)");
  for (size_t i = 10; i < whole.size(); ++i) CHECK(changed(i) != "no error");
  CHECK(error_in(whole + '\0') == p + "other bytes behind the end");
  CHECK(error_in(whole + "\x1f") == p + "other bytes behind the end");
}

TEST_CASE("gzip: no more than the limit") {
  const std::string bytes = compressed(std::string(100000, 'x'));
  CHECK(gunzip(bytes, 100000).size() == 100000);
  const std::string too_large = "gzip: contents are larger than 99999 bytes";
  CHECK(error_of([&] { gunzip(bytes, 99999); }) == too_large);
  CHECK(error_of([&] { gunzip(bytes + bytes, 199999); }) ==
        "gzip: contents are larger than 199999 bytes");
  CHECK(gunzip(compressed(""), 0).empty());
}

TEST_CASE("gzip: every reader takes it, under any name") {
  const Folder folder;
  const std::string plain = folder / "plain", path = folder / "a.data";
  const Tensor t = Tensor::from(std::vector<float>{1, 2, 3}, {3, 1});
  const auto compress = [&] { write_file(path, compressed(read_file(plain))); };
  write_npy(plain, t);
  compress();
  CHECK(read_npy(path).values() == t.values());
  write_safetensors(plain, {{"t", t}});
  compress();
  CHECK(read_safetensors(path).at(0).tensor.values() == t.values());
  write_file(path, compressed("1\n2\n3\n"));
  CHECK(read_csv(path).values.values() == t.values());
  write_file(path, compressed(std::string("\0\0\x08\x01\0\0\0\x03\x01\x02\x03", 11)));
  CHECK(read_idx(path).values() == t.values());
  write_file(path, compressed("1\n").substr(0, 12));
  CHECK(error_of([&] { read_csv(path); }) == path + ": gzip: file ends in the middle");
  write_file(path, compressed("x\nb\n"));
  CHECK(error_of([&] { read_csv(path); }) ==
        path + ": csv: line 2, column 1 (x): not a number ('b')");
}
#else
TEST_CASE("gzip: without zlib it is refused") {
  const Folder folder;
  write_file(folder / "a.npy", "\x1f\x8b\x08");
  CHECK(error_of([&] { read_npy(folder / "a.npy"); }) ==
        folder / "a.npy: gzip: file is gzip, and this build has no zlib");
}
#endif
