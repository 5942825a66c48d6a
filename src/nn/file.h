// Shared by the file formats: output that appears whole or not at all, names of files in errors,
// and elements in little-endian bytes.
#pragma once
#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "sinew/error.h"
#include "sinew/io.h"

namespace sinew {

static_assert(std::endian::native == std::endian::little, "files are read in place");

class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes what was not committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t size);
  template <class T>
  void write(const std::vector<T>& elements) {
    write(elements.data(), elements.size() * sizeof(T));
  }
  void commit();  // sync, rename

 private:
  [[noreturn]] void fail(const char* what, int error);
  std::string path_, target_, temporary_;  // as given; without links; empty if written directly
  int descriptor_ = -1;
};

uint64_t memory_of_machine();  // bytes

// f(), the file's name put before the message of an error.
template <class F>
auto about_file(const std::string& path, const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw Error(printable(path) + ": " + error.what());
  }
}

// parse(contents of the file, inflated if they are gzip).
template <class Parse>
auto parse_file(const std::string& path, const Parse& parse) {
  std::string contents = read_file(path);
  return about_file(path, [&] {
    if (is_gzip(contents)) contents = gunzip(contents);
    return parse(contents);
  });
}

template <class T>
T load_element(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// n elements stored as From, each as To.
template <class To, class From, class Convert>
std::vector<To> load_elements(const char* data, int64_t n, const Convert& convert) {
  std::vector<To> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = convert(load_element<From>(data + i * sizeof(From)));
  return out;
}

float half_to_float(uint16_t bits);  // IEEE 754 binary16

}  // namespace sinew
