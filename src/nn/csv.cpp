// CSV: lines of cells between commas. One pass: each cell is unquoted, trimmed and parsed as it is
// met. Lines and columns are counted from 1 in messages. Written numbers are std::to_chars's, the
// shortest that the reader's std::from_chars of the same type turns into the same value.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "nn/file.h"

namespace sinew {
namespace {

struct Place {
  size_t line = 1, column = 1;
  const std::vector<std::string>* names = nullptr;
};

[[noreturn]] void fail(const Place& at, const std::string& fact) {
  const bool named = at.names && at.column <= at.names->size();
  const std::string name = named ? " (" + printable((*at.names)[at.column - 1]) + ")" : "";
  throw Error("csv: line " + std::to_string(at.line) + ", column " + std::to_string(at.column) +
              name + ": " + fact);
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The cells of one line; after its last comma there is one more, perhaps empty.
class Cells {
 public:
  explicit Cells(std::string_view line) : line_(line) {}
  bool more() const { return more_; }
  std::string next(const Place& at) {
    std::string cell;
    const size_t start = line_.find_first_not_of(" \t", at_);
    const bool quoted = start != std::string_view::npos && line_[start] == '"';
    if (quoted) at_ = unquote(start + 1, cell, at);
    const size_t comma = line_.find(',', at_);
    more_ = comma != std::string_view::npos;
    const std::string_view rest = trim(line_.substr(at_, more_ ? comma - at_ : comma));
    if (quoted && !rest.empty()) fail(at, "text after a quoted cell");
    at_ = more_ ? comma + 1 : line_.size();
    return quoted ? std::string(trim(cell)) : std::string(rest);
  }

 private:
  // Appends what stands before the closing quote; returns the position behind it.
  size_t unquote(size_t i, std::string& cell, const Place& at) const {
    for (; i < line_.size(); ++i) {
      if (line_[i] == '"' && (i + 1 == line_.size() || line_[i + 1] != '"')) return i + 1;
      cell += line_[i];
      if (line_[i] == '"') ++i;
    }
    fail(at, "a quote is not closed");
  }
  std::string_view line_;
  size_t at_ = 0;
  bool more_ = true;
};

// Takes the next line off the text, without its end.
std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

template <class T>
std::errc parse_number(std::string_view cell, T& value) {
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-') cell.remove_prefix(1);
  const char* end = cell.data() + cell.size();
  const auto result = std::from_chars(cell.data(), end, value);
  return result.ec == std::errc() && result.ptr != end ? std::errc::invalid_argument : result.ec;
}

// Rounded to T once: by way of double some f32 would not come back.
template <class T>
T number(const std::string& cell, const Place& at) {
  if (cell.empty()) fail(at, "empty cell");
  T value = 0;
  const std::errc error = parse_number(cell, value);
  if (error == std::errc::result_out_of_range) {
    double wide = INFINITY;  // from_chars calls both ends of f32 out of range; tiny ones are 0
    parse_number(cell, wide);
    if (std::abs(wide) < 1) return static_cast<T>(wide);
    fail(at, "number out of range (" + printable(cell) + ")");
  }
  if (error != std::errc()) fail(at, "not a number ('" + printable(cell) + "')");
  return value;
}

// Reads the first line: a header if a cell is not a number. Returns the number of columns.
size_t read_first(std::string_view line, std::vector<std::string>& columns) {
  Place at;
  bool is_header = false;
  for (Cells cells(line); cells.more(); ++at.column) {
    columns.push_back(cells.next(at));
    double value;
    if (columns.back().empty()) fail(at, "empty cell");
    is_header = is_header || parse_number(columns.back(), value) == std::errc::invalid_argument;
  }
  const size_t count = columns.size();
  if (count == 1 && is_header && line.find_first_of(";\t") != std::string_view::npos)
    throw Error("csv: one column ('" + printable(line) + "'); cells are separated by commas");
  if (!is_header) columns.clear();
  return count;
}

template <class T>
Table parse(std::string_view text) {
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);  // byte order mark
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.empty()) throw Error("csv: no rows");
  Table table;
  Place at;
  std::string_view rest = text;
  const size_t count = read_first(next_line(rest), table.columns);
  if (table.columns.empty())
    rest = text;
  else
    at = {2, 1, &table.columns};
  if (rest.empty()) throw Error("csv: no rows below the header");
  std::vector<T> values;
  int64_t rows = 0;
  for (; !rest.empty(); ++at.line, ++rows) {
    at.column = 1;
    for (Cells cells(next_line(rest)); cells.more(); ++at.column) {
      if (at.column > count) fail(at, "the first row has " + std::to_string(count) + " cells only");
      values.push_back(number<T>(cells.next(at), at));
    }
    --at.column;
    if (at.column < count) fail(at, "the row ends here, the first has " + std::to_string(count));
  }
  table.values = Tensor::from(values, {rows, static_cast<int64_t>(count)});
  return table;
}

// --- writing ---
[[noreturn]] void refuse(const std::string& fact) { throw Error("csv: " + fact); }

void append_name(std::string& out, const std::string& name) {
  const bool plain = std::all_of(
      name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != ',' && c != '"'; });
  if (plain) {
    out += name;
    return;
  }
  out += '"';
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  out += '"';
}

void append_header(std::string& out, const std::vector<std::string>& columns) {
  bool is_header = false;  // as the reader sees it
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string& name = columns[i];
    const std::string what = "name of column " + std::to_string(i + 1);
    if (trim(name).empty()) refuse(what + " is empty");
    if (name.find('\n') != std::string::npos)
      refuse(what + " has a line break ('" + printable(name) + "')");
    double value;
    is_header = is_header || parse_number(trim(name), value) == std::errc::invalid_argument;
    if (i > 0) out += ',';
    append_name(out, name);
  }
  if (!is_header) refuse("names that are all numbers would read as a row");
  out += '\n';
}

template <class T>
void append_rows(std::string& out, const Tensor& t) {
  const auto columns = static_cast<size_t>(t.dim(1));
  const std::vector<T> values = t.host<T>();
  for (size_t i = 0; i < values.size(); ++i) {
    char text[32];
    out.append(text, std::to_chars(text, text + sizeof text, values[i]).ptr);
    out += (i + 1) % columns == 0 ? '\n' : ',';
  }
}

}  // namespace

Table parse_csv(std::string_view text, DType dtype) {
  if (dtype == DType::f32) return parse<float>(text);
  if (dtype == DType::f64) return parse<double>(text);
  throw Error(std::string("csv: reads to f32 or f64 only (") + name(dtype) + ")");
}

Table read_csv(const std::string& path, DType dtype) {
  return parse_file(path, [=](std::string_view text) { return parse_csv(text, dtype); });
}

std::string to_csv(const Table& table) {
  const Tensor& t = table.values;
  if (!t.defined()) refuse("values are undefined");
  if (t.rank() != 2 || t.numel() == 0) refuse("needs rows and columns " + t.shape().str());
  const size_t names = table.columns.size();
  if (names > 0 && names != static_cast<size_t>(t.dim(1)))
    refuse(std::to_string(names) + " names for " + std::to_string(t.dim(1)) + " columns");
  std::string out;
  if (names > 0) append_header(out, table.columns);
  switch (t.dtype()) {
    case DType::f32: append_rows<float>(out, t); break;
    case DType::f64: append_rows<double>(out, t); break;
    case DType::i32: append_rows<int32_t>(out, t); break;
    default: refuse(std::string("writes f32, f64 or i32 only (") + name(t.dtype()) + ")");
  }
  return out;
}

void write_csv(const std::string& path, const Table& table) { write_file(path, to_csv(table)); }

}  // namespace sinew
