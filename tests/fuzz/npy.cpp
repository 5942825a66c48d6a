// parse_npy to each type. An array that i32 holds is the same in f64.
#include "fuzz.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz(data, size, [](std::string_view bytes) { parse_npy(bytes); });
  return fuzz(data, size, [](std::string_view bytes) {
    const Tensor exact = parse_npy(bytes, DType::i32), wide = parse_npy(bytes, DType::f64);
    require(exact.shape() == wide.shape());
    require(exact.values() == wide.values());
  });
}
