// NPY: "\x93NUMPY", version, length of the header (2 bytes in version 1, else 4), the header, a
// Python dict {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then the elements.
// An array in Fortran order is one of the reversed shape in C order, transposed.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "nn/file.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

[[noreturn]] void fail(const std::string& fact) { throw Error("npy: " + fact); }

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// The literal above and nothing else.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  Header read() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = text();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        if (peek() == '[') fail("records are not supported");
        header.descr = text();
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        header.fortran_order = boolean();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        header.shape = tuple();
      } else {
        fail("unexpected key '" + printable(key) + "' in the header");
      }
      if (!accept(',') && peek() != '}') malformed();
    }
    if (peek() != 0 || !has_descr || !has_order || !has_shape) malformed();
    return header;
  }

 private:
  [[noreturn]] void malformed() const {
    fail("malformed header (at byte " + std::to_string(at_) + ")");
  }
  char peek() {  // 0 at the end
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) malformed();
  }
  std::string text() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed();
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) malformed();
    const std::string out(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return out;
  }
  bool boolean() {
    peek();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word == "True";
      }
    malformed();
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      if (sizes.size() == Shape::max_rank) fail("rank is above 8");
      sizes.push_back(size());
      if (!accept(',') && peek() != ')') malformed();
    }
    return sizes;
  }
  int64_t size() {
    if (peek() == '-') fail("shape has a negative size");
    if (peek() < '0' || peek() > '9') malformed();
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value))
        fail("shape is too large");
    return value;
  }
  std::string_view text_;
  size_t at_ = 0;
};

struct File {
  Header header;
  std::string_view data;
};

File split(std::string_view bytes) {
  if (bytes.size() < 10 || bytes.substr(0, 6) != "\x93NUMPY") fail("not an NPY file");
  const int version = bytes[6];
  if (version < 1 || version > 3) fail("unknown version (" + std::to_string(version) + ")");
  const size_t start = version == 1 ? 10 : 12;
  if (bytes.size() < start) fail("file ends in the header");
  const size_t length = version == 1 ? load_element<uint16_t>(bytes.data() + 8)
                                     : load_element<uint32_t>(bytes.data() + 8);
  if (length > bytes.size() - start) fail("file ends in the header");
  return {HeaderReader(bytes.substr(start, length)).read(), bytes.substr(start + length)};
}

int64_t item_size(const std::string& descr) {
  constexpr std::string_view kinds[] = {"b1", "i1", "u1", "i2", "u2", "f2",
                                        "i4", "u4", "f4", "i8", "u8", "f8"};
  const std::string_view kind = std::string_view(descr).substr(descr.empty() ? 0 : 1);
  if (std::find(std::begin(kinds), std::end(kinds), kind) == std::end(kinds))
    fail("element type is not supported ('" + printable(descr) + "')");
  if (descr[0] != '<' && !(descr[0] == '|' && kind[1] == '1'))
    fail("byte order is not little-endian ('" + printable(descr) + "')");
  return kind[1] - '0';
}

template <class From>
int32_t to_i32(From value) {
  bool fits;
  if constexpr (std::is_floating_point_v<From>)
    fits = value >= From(-0x1p31) && value < From(0x1p31) && value == std::trunc(value);
  else
    fits = std::in_range<int32_t>(value);
  if (!fits) fail("a value is not an integer that i32 can hold (" + std::to_string(value) + ")");
  return static_cast<int32_t>(value);
}

template <class To, class From>
std::vector<To> load(const char* data, int64_t n) {
  return load_elements<To, From>(data, n, [](From value) {
    if constexpr (std::is_same_v<To, int32_t>)
      return to_i32(value);
    else
      return static_cast<To>(value);
  });
}

template <class To>
Tensor make(const std::string& descr, const char* data, const Shape& shape) {
  const std::string_view kind = std::string_view(descr).substr(1);
  const int64_t n = shape.numel();
  const auto from = [&](const std::vector<To>& values) { return Tensor::from(values, shape); };
  if (kind == "f4") return from(load<To, float>(data, n));
  if (kind == "f8") return from(load<To, double>(data, n));
  if (kind == "i1") return from(load<To, int8_t>(data, n));
  if (kind == "i2") return from(load<To, int16_t>(data, n));
  if (kind == "i4") return from(load<To, int32_t>(data, n));
  if (kind == "i8") return from(load<To, int64_t>(data, n));
  if (kind == "u1") return from(load<To, uint8_t>(data, n));
  if (kind == "u2") return from(load<To, uint16_t>(data, n));
  if (kind == "u4") return from(load<To, uint32_t>(data, n));
  if (kind == "u8") return from(load<To, uint64_t>(data, n));
  if (kind == "b1")
    return from(load_elements<To, uint8_t>(data, n, [](uint8_t v) { return To(v != 0); }));
  return from(load_elements<To, uint16_t>(data, n, [](uint16_t v) {
    if constexpr (std::is_same_v<To, int32_t>)
      return to_i32(half_to_float(v));
    else
      return To(half_to_float(v));
  }));
}

// The header padded with spaces so that the data starts at a multiple of 64 bytes.
std::string make_header(const std::string& descr, const Shape& shape) {
  std::string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (int64_t size : shape) text += std::to_string(size) + ",";
  text += "), }";
  text.resize((10 + text.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  text += '\n';
  const auto length = static_cast<uint16_t>(text.size());
  return std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(length & 255) +
         static_cast<char>(length >> 8) + text;
}

template <class T>
void write(const std::string& path, const char* descr, const Shape& shape,
           const std::vector<T>& values) {
  const std::string header = make_header(descr, shape);
  OutputFile file(path);
  file.write(header.data(), header.size());
  file.write(values);
  file.commit();
}

}  // namespace

Tensor parse_npy(std::string_view bytes, DType dtype) {
  const auto [header, data] = split(bytes);
  std::vector<int64_t> sizes = header.shape;
  if (header.fortran_order) std::reverse(sizes.begin(), sizes.end());
  const Shape shape(sizes);
  int64_t needed = item_size(header.descr);
  if (__builtin_mul_overflow(needed, shape.numel(), &needed)) fail("shape is too large");
  if (static_cast<uint64_t>(needed) != data.size())
    fail("data has " + std::to_string(data.size()) + " bytes, shape " + shape.str() + " needs " +
         std::to_string(needed));
  Tensor out;
  switch (dtype) {
    case DType::f32: out = make<float>(header.descr, data.data(), shape); break;
    case DType::f64: out = make<double>(header.descr, data.data(), shape); break;
    case DType::i32: out = make<int32_t>(header.descr, data.data(), shape); break;
    default: fail(std::string("reads to f32, f64 or i32 only (") + name(dtype) + ")");
  }
  if (!header.fortran_order || out.rank() < 2) return out;
  std::vector<int> reversed;
  for (int axis = out.rank(); axis-- > 0;) reversed.push_back(axis);
  return permute(out, reversed);
}

DType npy_dtype(std::string_view bytes) {
  const std::string descr = split(bytes).header.descr;
  const int64_t size = item_size(descr);
  return descr[1] != 'f' ? DType::i32 : size == 8 ? DType::f64 : DType::f32;
}

Tensor read_npy(const std::string& path, DType dtype) {
  return parse_file(path, [=](std::string_view bytes) { return parse_npy(bytes, dtype); });
}

void write_npy(const std::string& path, const Tensor& t) {
  if (!t.defined()) fail("tensor is undefined");
  switch (t.dtype()) {
    case DType::f32: return write(path, "<f4", t.shape(), t.host<float>());
    case DType::f64: return write(path, "<f8", t.shape(), t.host<double>());
    case DType::u8: return write(path, "|u1", t.shape(), t.host<uint8_t>());
    case DType::i32: {
      const auto values = t.host<int32_t>();
      return write(path, "<i8", t.shape(), std::vector<int64_t>(values.begin(), values.end()));
    }
    case DType::bf16: fail("cannot hold bf16; cast to f32 first");
  }
}

}  // namespace sinew
