// safetensors: 8 bytes n, n bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin,
// end)},
// ..., "__metadata__": {text: text}}, then the data. The JSON is read event by event into a list of
// entries: no tree is built, and nesting deeper than the format has is refused at once.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "nn/file.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

constexpr uint64_t longest_header = 100'000'000;

[[noreturn]] void fail(const std::string& fact) { throw Error("safetensors: " + fact); }

struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<uint64_t> offsets;  // begin, end
  bool has_dtype = false, has_shape = false, has_offsets = false;

  std::string text() const { return "tensor '" + printable(name) + "' "; }
};

// Receives the parser's events. Levels: 0 outside, 1 the map of tensors, 2 one tensor or the
// metadata, 3 a list of numbers.
class Header : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t& text) override {
    fail(here() + "a number is not whole or too large (" + printable(text) + ")");
  }
  bool number_integer(number_integer_t value) override {
    fail(here() + "a number is negative (" + std::to_string(value) + ")");
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (level_ != 3) unexpected("a number");
    if (field_ == Field::offsets) {
      if (entries.back().offsets.size() == 2) fail(here() + "data_offsets has more than 2 numbers");
      entries.back().offsets.push_back(value);
      return true;
    }
    if (value > static_cast<uint64_t>(INT64_MAX)) fail(here() + "shape is too large");
    if (entries.back().shape.size() == Shape::max_rank) fail(here() + "rank is above 8");
    entries.back().shape.push_back(static_cast<int64_t>(value));
    return true;
  }
  bool string(string_t& value) override {
    if (level_ == 2 && in_metadata_) return true;
    if (level_ != 2 || field_ != Field::dtype) unexpected("text");
    entries.back().dtype = value;
    return true;
  }
  bool binary(binary_t&) override { unexpected("binary"); }
  bool start_object(size_t) override {
    if (level_ > 1) unexpected("an object");
    ++level_;
    return true;
  }
  bool key(string_t& text) override {
    if (level_ == 1) {
      in_metadata_ = text == "__metadata__";
      if (!in_metadata_) entries.emplace_back().name = text;
    } else if (!in_metadata_) {
      set_field(text);
    }
    return true;
  }
  bool end_object() override {
    if (level_ == 2 && !in_metadata_) {
      const Entry& e = entries.back();
      if (!e.has_dtype || !e.has_shape || e.offsets.size() != 2)
        fail(here() + "needs dtype, shape and two data_offsets");
    }
    --level_;
    return true;
  }
  bool start_array(size_t) override {
    if (level_ != 2 || in_metadata_ || field_ == Field::dtype) unexpected("a list");
    ++level_;
    return true;
  }
  bool end_array() override {
    --level_;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail("header is not JSON (at byte " + std::to_string(position) + ")");
  }

 private:
  enum class Field : uint8_t { dtype, shape, offsets };

  void set_field(const std::string& text) {
    Entry& e = entries.back();
    bool* seen = nullptr;
    if (text == "dtype") {
      field_ = Field::dtype;
      seen = &e.has_dtype;
    } else if (text == "shape") {
      field_ = Field::shape;
      seen = &e.has_shape;
    } else if (text == "data_offsets") {
      field_ = Field::offsets;
      seen = &e.has_offsets;
    } else {
      fail(here() + "unknown key '" + printable(text) + "'");
    }
    if (*seen) fail(here() + text + " is given twice");
    *seen = true;
  }
  std::string here() const {
    return entries.empty() || in_metadata_ ? std::string("header: ") : entries.back().text();
  }
  [[noreturn]] void unexpected(const char* what) const {
    fail(here() + "unexpected " + what + " in the header");
  }
  int level_ = 0;
  bool in_metadata_ = false;
  Field field_ = Field::dtype;
};

std::optional<uint64_t> element_size(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  if (dtype == "F16" || dtype == "BF16") return 2;
  if (dtype == "U8" || dtype == "BOOL") return 1;
  return {};
}

void check_sizes(const Entry& e, uint64_t data_size) {
  const auto size = element_size(e.dtype);
  if (!size) fail(e.text() + "has a dtype that is not supported (" + printable(e.dtype) + ")");
  uint64_t bytes = *size;
  for (int64_t d : e.shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(d), &bytes))
      fail(e.text() + "shape is too large");
  const uint64_t begin = e.offsets[0], end = e.offsets[1];
  if (begin > end || end > data_size)
    fail(e.text() + "lies outside the file (bytes " + std::to_string(begin) + " to " +
         std::to_string(end) + " of " + std::to_string(data_size) + ")");
  if (end - begin != bytes)
    fail(e.text() + "has " + std::to_string(end - begin) + " bytes, its shape needs " +
         std::to_string(bytes));
}

void check_names(const std::vector<Entry>& entries) {
  std::vector<std::string_view> names;
  for (const Entry& e : entries) names.push_back(e.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) fail("tensor '" + printable(*twice) + "' occurs twice");
}

// The tensors must follow each other from the first byte to the last.
void check_layout(const std::vector<Entry>& entries, uint64_t data_size) {
  std::vector<const Entry*> sorted;
  for (const Entry& e : entries) sorted.push_back(&e);
  std::sort(sorted.begin(), sorted.end(),
            [](const Entry* a, const Entry* b) { return a->offsets < b->offsets; });
  uint64_t end = 0;
  for (const Entry* e : sorted) {
    if (e->offsets[0] < end) fail(e->text() + "overlaps another one");
    if (e->offsets[0] > end)
      fail("bytes " + std::to_string(end) + " to " + std::to_string(e->offsets[0]) +
           " of the data belong to no tensor");
    end = e->offsets[1];
  }
  if (end != data_size)
    fail("bytes " + std::to_string(end) + " to " + std::to_string(data_size) +
         " of the data belong to no tensor");
}

Tensor make_tensor(const Entry& e, const char* data) {
  const Shape shape(e.shape);
  const int64_t n = shape.numel();
  const auto same = [](auto v) { return v; };
  if (e.dtype == "F32") return Tensor::from(load_elements<float, float>(data, n, same), shape);
  if (e.dtype == "F64") return Tensor::from(load_elements<double, double>(data, n, same), shape);
  if (e.dtype == "I32") return Tensor::from(load_elements<int32_t, int32_t>(data, n, same), shape);
  if (e.dtype == "U8") return Tensor::from(load_elements<uint8_t, uint8_t>(data, n, same), shape);
  if (e.dtype == "F16")
    return Tensor::from(load_elements<float, uint16_t>(data, n, half_to_float), shape);
  if (e.dtype == "BF16") {
    const auto widen = [](uint16_t v) {
      return std::bit_cast<float>(static_cast<uint32_t>(v) << 16);
    };
    return cast(Tensor::from(load_elements<float, uint16_t>(data, n, widen), shape), DType::bf16);
  }
  if (e.dtype == "BOOL") {
    const auto truth = [](uint8_t v) { return static_cast<uint8_t>(v != 0); };
    return Tensor::from(load_elements<uint8_t, uint8_t>(data, n, truth), shape);
  }
  const auto narrow = [&](int64_t v) {
    if (v < INT32_MIN || v > INT32_MAX)
      fail(e.text() + "has a value that i32 cannot hold (" + std::to_string(v) + ")");
    return static_cast<int32_t>(v);
  };
  return Tensor::from(load_elements<int32_t, int64_t>(data, n, narrow), shape);
}

struct Stored {
  const char* dtype;
  int64_t size;
};
Stored stored_as(DType dtype) {
  switch (dtype) {
    case DType::f32: return {"F32", 4};
    case DType::f64: return {"F64", 8};
    case DType::bf16: return {"BF16", 2};
    case DType::i32: return {"I64", 8};
    case DType::u8: return {"U8", 1};
  }
  return {"", 0};
}

void write_elements(OutputFile& file, const Tensor& t) {
  switch (t.dtype()) {
    case DType::f32: return file.write(t.host<float>());
    case DType::f64: return file.write(t.host<double>());
    case DType::u8: return file.write(t.host<uint8_t>());
    case DType::i32: {
      const auto values = t.host<int32_t>();
      return file.write(std::vector<int64_t>(values.begin(), values.end()));
    }
    case DType::bf16: {
      std::vector<uint16_t> high;
      for (float v : cast(t, DType::f32).host<float>())
        high.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(v) >> 16));
      return file.write(high);
    }
  }
}

std::string quoted(const std::string& name) {
  try {
    return nlohmann::json(name).dump();
  } catch (const nlohmann::json::exception&) {
    fail("tensor name is not UTF-8 ('" + printable(name) + "')");
  }
}

void check_writable(const NamedTensors& tensors) {
  std::vector<std::string_view> names;
  for (const NamedTensor& t : tensors) {
    if (!t.tensor.defined()) fail("tensor '" + printable(t.name) + "' is undefined");
    names.push_back(t.name);
  }
  names.push_back("__metadata__");
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) fail("tensor '" + printable(*twice) + "' occurs twice");
}

}  // namespace

NamedTensors parse_safetensors(std::string_view bytes) {
  if (bytes.size() < 8) fail("file is shorter than 8 bytes (" + std::to_string(bytes.size()) + ")");
  const auto length = load_element<uint64_t>(bytes.data());
  const std::string_view rest = bytes.substr(8);
  if (bytes.substr(0, 4) == "PK\x03\x04") fail("is a ZIP archive, as .pt is (docs/pytorch.md)");
  if (length > longest_header) fail("header is too long (" + std::to_string(length) + " bytes)");
  if (length > rest.size())
    fail("header goes beyond the file (" + std::to_string(length) + " of " +
         std::to_string(rest.size()) + " bytes)");
  const std::string_view json = rest.substr(0, length), data = rest.substr(length);
  if (json.empty() || json[0] != '{') fail("header does not start with {");
  Header header;
  nlohmann::json::sax_parse(json.begin(), json.end(), &header);
  for (const Entry& e : header.entries) check_sizes(e, data.size());
  check_names(header.entries);
  check_layout(header.entries, data.size());
  NamedTensors out;
  for (const Entry& e : header.entries)
    out.push_back({e.name, make_tensor(e, data.data() + e.offsets[0])});
  return out;
}

NamedTensors read_safetensors(const std::string& path) {
  return parse_file(path, parse_safetensors);
}

// Data in falling order of element size, so that each tensor is aligned to its own.
void write_safetensors(const std::string& path, const NamedTensors& tensors) {
  check_writable(tensors);
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto size = [&](size_t i) { return stored_as(tensors[i].tensor.dtype()).size; };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return size(a) > size(b); });
  std::vector<int64_t> begin(tensors.size());
  int64_t end = 0;
  for (size_t i : order) {
    begin[i] = end;
    end += size(i) * tensors[i].tensor.numel();
  }
  std::string header = "{";
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i].tensor;
    header += (i ? ",\n" : "") + quoted(tensors[i].name) + ":{\"dtype\":\"" +
              stored_as(t.dtype()).dtype + "\",\"shape\":" + t.shape().str() +
              ",\"data_offsets\":[" + std::to_string(begin[i]) + "," +
              std::to_string(begin[i] + size(i) * t.numel()) + "]}";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();
  OutputFile file(path);
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  for (size_t i : order) write_elements(file, tensors[i].tensor);
  file.commit();
}

}  // namespace sinew
