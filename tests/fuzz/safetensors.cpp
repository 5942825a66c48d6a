// parse_safetensors: every tensor that comes out is whole and named once.
#include "fuzz.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    for (const NamedTensor& t : parse_safetensors(bytes)) {
      require(t.tensor.defined());
      require(t.tensor.shape().numel() == t.tensor.numel());
    }
  });
}
