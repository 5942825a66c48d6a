// What every target does: any bytes end in a value or in an Error whose message is one short line.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sinew/error.h"

namespace sinew::test {

// Ends the program, which libFuzzer reports as a finding.
inline void require(bool ok) {
  if (!ok) std::abort();
}

inline void check_message(std::string_view message) {
  require(message.size() < 500);
  unsigned char before = 0;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    require(byte >= 0x20 && byte != 0x7f);
    require(!(before == 0xc2 && byte >= 0x80 && byte < 0xa0));  // U+0080 to U+009F
    before = byte;
  }
}

// What the library itself made must be taken back.
template <class Parse>
auto must_parse(const Parse& parse) -> decltype(parse()) {
  try {
    return parse();
  } catch (const Error&) {
    std::abort();
  }
}

template <class Target>
int fuzz(const uint8_t* data, size_t size, const Target& target) {
  try {
    target(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const Error& error) {
    check_message(error.what());
  }
  return 0;
}

}  // namespace sinew::test
