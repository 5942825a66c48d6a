// For the tests of file formats: a folder of their own, and the text of an error.
#pragma once
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "sinew/error.h"

namespace sinew::test {

// A folder that is gone at the end of the scope.
struct Folder {
  Folder() {
    char name[] = "/tmp/sinew-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  int64_t files() const { return std::distance(std::filesystem::directory_iterator(path), {}); }
  std::string path;
};

inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

// The bytes of a number, little-endian.
template <class T>
std::string bytes_of(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

}  // namespace sinew::test
