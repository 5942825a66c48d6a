// parse_network_config. What it accepts is written as JSON, and read again gives the same JSON.
#include "fuzz.h"
#include "sinew/nn.h"

using namespace sinew;
using namespace sinew::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    const std::string written = to_json(parse_network_config(std::string(bytes)));
    require(must_parse([&] { return to_json(parse_network_config(written)); }) == written);
  });
}
