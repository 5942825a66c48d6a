// IDX: two zero bytes, the element type, the rank, the sizes as 4-byte unsigned integers, the
// elements; all big-endian. Source: the description on the MNIST page of Y. LeCun.
#include <algorithm>

#include "nn/file.h"

namespace sinew {
namespace {

[[noreturn]] void fail(const std::string& fact) { throw Error("idx: " + fact); }

template <class T>
T swapped(T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  std::reverse(bytes, bytes + sizeof value);
  return load_element<T>(bytes);
}

template <class To, class From>
Tensor load(const char* data, const Shape& shape) {
  return Tensor::from(
      load_elements<To, From>(data, shape.numel(), [](From v) { return To(swapped(v)); }), shape);
}

struct Type {
  uint8_t code;
  int64_t size;
  Tensor (*load)(const char* data, const Shape& shape);
};
constexpr Type types[] = {{0x08, 1, load<uint8_t, uint8_t>}, {0x09, 1, load<int32_t, int8_t>},
                          {0x0b, 2, load<int32_t, int16_t>}, {0x0c, 4, load<int32_t, int32_t>},
                          {0x0d, 4, load<float, float>},     {0x0e, 8, load<double, double>}};

}  // namespace

Tensor parse_idx(std::string_view bytes) {
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0) fail("not an IDX file");
  const auto code = static_cast<uint8_t>(bytes[2]), rank = static_cast<uint8_t>(bytes[3]);
  const auto type = std::find_if(std::begin(types), std::end(types),
                                 [&](const Type& t) { return t.code == code; });
  if (type == std::end(types)) fail("unknown element type (" + std::to_string(code) + ")");
  if (rank < 1 || rank > Shape::max_rank)
    fail("rank outside 1 to 8 (" + std::to_string(rank) + ")");
  const size_t start = 4 + size_t{4} * rank;
  if (bytes.size() < start) fail("file ends in the header");
  std::vector<int64_t> sizes;
  for (size_t at = 4; at < start; at += 4)
    sizes.push_back(swapped(load_element<uint32_t>(bytes.data() + at)));
  const Shape shape(sizes);
  const std::string_view data = bytes.substr(start);
  int64_t needed = type->size;
  if (__builtin_mul_overflow(needed, shape.numel(), &needed)) fail("shape is too large");
  if (static_cast<uint64_t>(needed) != data.size())
    fail("data has " + std::to_string(data.size()) + " bytes, shape " + shape.str() + " needs " +
         std::to_string(needed));
  return type->load(data.data(), shape);
}

Tensor read_idx(const std::string& path) { return parse_file(path, parse_idx); }

}  // namespace sinew
