// gunzip where the bytes are gzip, then parse_idx. Contents above 1 MiB are refused.
#include "fuzz.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t limit = 1 << 20;
  return fuzz(data, size, [](std::string_view bytes) {
    const Tensor t = is_gzip(bytes) ? parse_idx(gunzip(bytes, limit)) : parse_idx(bytes);
    require(t.rank() >= 1);
    require(t.shape().numel() == t.numel());
  });
}
