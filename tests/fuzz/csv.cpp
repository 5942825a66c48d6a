// parse_csv to f32 and f64. A table written by to_csv and read again has the same names and values.
#include "fuzz.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;

namespace {

template <class T>
void round_trip(std::string_view text, DType dtype) {
  const Table table = parse_csv(text, dtype);
  const Table again = must_parse([&] { return parse_csv(to_csv(table), dtype); });
  require(again.columns == table.columns);
  require(again.values.shape() == table.values.shape());
  const std::vector<T> before = table.values.host<T>(), after = again.values.host<T>();
  for (size_t i = 0; i < before.size(); ++i)
    require(before[i] != before[i] ? after[i] != after[i] : before[i] == after[i]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz(data, size, [](std::string_view text) { round_trip<float>(text, DType::f32); });
  return fuzz(data, size, [](std::string_view text) { round_trip<double>(text, DType::f64); });
}
