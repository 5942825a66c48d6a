// Data files: format by name or content, shapes to (rows, columns), columns of a CSV to inputs and
// targets, checks of rows and values. Public contract: what X and T may be stands in dataset.h.
#include "dataset.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "command.h"
#include "sinew/data.h"
#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/ops.h"

namespace sinew::tools {
namespace {

enum class Format : uint8_t { npy, idx, csv };
enum class Role : uint8_t { inputs, targets };

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Format format_of(const std::string& path, const std::string& bytes) {
  const std::string name = ends_with(path, ".gz") ? path.substr(0, path.size() - 3) : path;
  if (ends_with(name, ".npy")) return Format::npy;
  if (ends_with(name, ".idx")) return Format::idx;
  if (ends_with(name, ".csv")) return Format::csv;
  if (bytes.rfind("\x93NUMPY", 0) == 0) return Format::npy;
  const bool idx = bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0;
  return idx ? Format::idx : Format::csv;
}

// One file as it is: its shape, its column names, and what its numbers were.
struct File {
  Tensor values;
  std::vector<std::string> columns;  // of a CSV with a header
  Format format = Format::csv;
  bool integer_type = false;  // NPY and IDX
};

File parse(const std::string& path, const std::string& bytes, DType dtype) {
  File file;
  file.format = format_of(path, bytes);
  if (file.format == Format::npy) {
    file.values = parse_npy(bytes, dtype);
    file.integer_type = npy_dtype(bytes) == DType::i32;
  } else if (file.format == Format::idx) {
    file.values = parse_idx(bytes);
    file.integer_type = file.values.dtype() == DType::u8 || file.values.dtype() == DType::i32;
  } else {
    Table table = parse_csv(bytes, dtype);
    file.values = std::move(table.values);
    file.columns = std::move(table.columns);
  }
  return file;
}

// In (rows, columns) or (N, H, W), every number in `dtype`, images of bytes scaled.
File read(const std::string& path, const DataFlags& flags, DType dtype, Role role) {
  const auto fail = [&](const std::string& fact) { throw Error(path + ": " + fact); };
  std::string bytes = read_file(path);
  File file;
  about(path, [&] {
    if (is_gzip(bytes)) bytes = gunzip(bytes);
    if (bytes.rfind("PK\x03\x04", 0) == 0)
      throw Error("is a ZIP archive, as .npz and .xlsx are; NPY, IDX and CSV are read");
    file = parse(path, bytes, dtype);
  });
  Tensor& t = file.values;
  const bool scale = role == Role::inputs && t.dtype() == DType::u8 && flags.idx_scale == "unit";
  if (role == Role::inputs && t.rank() != 2 && t.rank() != 3)
    fail("inputs must be (N, n) or (N, H, W) " + t.shape().str());
  if (role == Role::targets && t.rank() != 1 && t.rank() != 2)
    fail("targets must be (N), (N, 1) or (N, outputs) " + t.shape().str());
  if (t.numel() == 0) fail("holds no rows or no columns " + t.shape().str());
  t = cast(t, dtype);
  if (scale) t = div(t, Tensor::scalar(255, dtype));
  if (!flags.allow_nonfinite) require_finite(path, t);
  return file;
}

// Columns [n] of t (rows, columns) in the order of `index`.
Tensor pick(const Tensor& t, const std::vector<int32_t>& index) {
  const auto count = static_cast<int64_t>(index.size());
  return permute(gather(permute(t, {1, 0}), Tensor::from(index, {count})), {1, 0});
}

template <class T>
std::vector<T> pick(const std::vector<T>& values, const std::vector<int32_t>& index) {
  std::vector<T> out;
  if (!values.empty())
    for (const int32_t i : index) out.push_back(values[static_cast<size_t>(i)]);
  return out;
}

// The position of a column's name; -1 if there is none, throws if there are two.
int32_t find_name(const std::string& path, const std::vector<std::string>& columns,
                  const std::string& name) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) return -1;
  if (std::find(found + 1, columns.end(), name) != columns.end())
    throw Error(path + ": two columns are called '" + name + "'");
  return static_cast<int32_t>(found - columns.begin());
}

int32_t require_name(const std::string& path, const std::vector<std::string>& columns,
                     const std::string& name) {
  const int32_t found = find_name(path, columns, name);
  if (found < 0) throw Error(path + ": has no column '" + name + "'");
  return found;
}

// NAME|INDEX: a name of the header, else a position from 0, or from -1 backwards from the last.
int32_t find_column(const std::string& path, const File& file, const std::string& text) {
  const int32_t named = find_name(path, file.columns, text);
  if (named >= 0) return named;
  const auto count = static_cast<int32_t>(file.values.dim(1));
  int32_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("--target-column: " + path + " has no column '" + text + "'");
  if (index < -count || index >= count)
    throw Error("--target-column: " + text + " is outside the " + std::to_string(count) +
                " columns of " + path + ", counted from 0");
  return index < 0 ? index + count : index;
}

std::vector<int32_t> target_columns(const std::string& path, const File& file,
                                    const std::string& flag,
                                    const std::vector<std::string>& stored) {
  std::vector<int32_t> out;
  if (const int32_t whole = find_name(path, file.columns, flag); !flag.empty() && whole >= 0)
    return {whole};  // a name may hold a comma
  for (size_t at = 0; !flag.empty() && at <= flag.size();) {
    const size_t comma = std::min(flag.find(',', at), flag.size());
    out.push_back(find_column(path, file, flag.substr(at, comma - at)));
    if (std::count(out.begin(), out.end(), out.back()) > 1)
      throw Error("--target-column: names a column twice (" + flag + ")");
    at = comma + 1;
  }
  if (!out.empty()) return out;
  if (!file.columns.empty() && !stored.empty()) {
    for (const std::string& name : stored) out.push_back(require_name(path, file.columns, name));
    return out;
  }
  for (const char* name : {"label", "target", "y"}) {
    const int32_t found = find_name(path, file.columns, name);
    if (found >= 0) return {found};
  }
  return {static_cast<int32_t>(file.values.dim(1) - 1)};
}

// The columns that are inputs: the stored ones by name, else all but `targets`. A column that is
// neither stored nor a target is refused.
std::vector<int32_t> input_columns(const std::string& path, const File& file,
                                   const std::vector<int32_t>& targets,
                                   const std::vector<std::string>& stored) {
  std::vector<int32_t> out;
  const auto has = [](const auto& list, const auto& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  for (int32_t i = 0; i < file.values.dim(1); ++i) {
    if (has(targets, i)) continue;
    if (!file.columns.empty() && !stored.empty() &&
        !has(stored, file.columns[static_cast<size_t>(i)]))
      throw Error(path + ": the model has no input '" + file.columns[static_cast<size_t>(i)] + "'");
    out.push_back(i);
  }
  if (out.empty()) throw Error(path + ": has no column beside the target");
  if (file.columns.empty() || stored.empty()) return out;
  out.clear();
  for (const std::string& name : stored) out.push_back(require_name(path, file.columns, name));
  return out;
}

// X to (N, n).
Inputs flat(const Tensor& x) {
  if (x.rank() == 2) return {x, {}};
  return {reshape(x, {x.dim(0), x.dim(1) * x.dim(2)}), {x.dim(1), x.dim(2)}};
}

bool all_whole(const Tensor& y) {
  const std::vector<double> values = y.values();
  return std::all_of(values.begin(), values.end(),
                     [](double v) { return std::isfinite(v) && v == std::trunc(v); });
}

void take_inputs(Dataset& out, const std::string& path, const File& file,
                 const std::vector<int32_t>& targets, const ColumnNames& stored) {
  if (file.format != Format::csv) {
    const Inputs inputs = flat(file.values);
    out.x = inputs.x;
    out.grid = inputs.grid;
    return;
  }
  const auto columns = input_columns(path, file, targets, stored.inputs);
  out.x = pick(file.values, columns);
  out.names.inputs = pick(file.columns, columns);
  for (const std::string& name : out.names.inputs) find_name(path, file.columns, name);
}

// The columns of the stored targets that the file happens to hold.
std::vector<int32_t> stored_targets(const std::string& path, const File& file,
                                    const ColumnNames& stored) {
  std::vector<int32_t> out;
  for (const std::string& name : stored.targets) {
    const int32_t found = find_name(path, file.columns, name);
    if (found >= 0) out.push_back(found);
  }
  return out;
}

}  // namespace

void add_value_flags(Flags& flags, DataFlags& data) {
  flags.add("--idx-scale", data.idx_scale, "bytes of IDX images: unit (0 to 1) or none")
      .one_of({"unit", "none"});
  flags.add("--allow-nonfinite", data.allow_nonfinite, "accept NaN and infinity in data");
}

Flag add_data_flags(Flags& flags, DataFlags& data) {
  const Flag inputs =
      flags.add("--data", data.data, "inputs (N, n) or (N, H, W): NPY, IDX or CSV, or their .gz");
  const Flag target = flags.add("--target", data.target,
                                "targets (N) or (N, outputs); default: columns of the CSV --data");
  flags
      .add("--target-column", data.target_column,
           "of the CSV --data: NAME or INDEX from 0, several with commas; default: the "
           "column label, target or y, else the last one")
      .excludes(target);
  add_value_flags(flags, data);
  return inputs;
}

Dataset read_dataset(const DataFlags& flags, DType dtype, const ColumnNames& stored) {
  Dataset out;
  const File data = read(flags.data, flags, dtype, Role::inputs);
  if (!flags.target.empty()) {
    take_inputs(out, flags.data, data, stored_targets(flags.data, data, stored), stored);
    const File target = read(flags.target, flags, dtype, Role::targets);
    const Tensor& t = target.values;
    out.y = reshape(t, {t.dim(0), t.rank() == 1 ? 1 : t.dim(1)});
    out.names.targets = target.columns;
    out.integer_target = target.integer_type;
    out.typed_target = target.format != Format::csv;
    if (!out.typed_target) out.integer_target = all_whole(out.y);
    if (out.x.dim(0) != out.y.dim(0))
      throw Error(flags.target + ": has " + std::to_string(out.y.dim(0)) + " rows, " + flags.data +
                  " has " + std::to_string(out.x.dim(0)));
  } else {
    if (data.format != Format::csv)
      throw Error(flags.data + ": is no CSV, so its targets need a file (--target, --val-target)");
    const auto targets = target_columns(flags.data, data, flags.target_column, stored.targets);
    take_inputs(out, flags.data, data, targets, stored);
    out.y = pick(data.values, targets);
    out.names.targets = pick(data.columns, targets);
    out.integer_target = all_whole(out.y);
  }
  out.integer_target = out.integer_target && out.y.dim(1) == 1;
  return out;
}

Inputs read_inputs(const std::string& path, const DataFlags& flags, DType dtype,
                   const ColumnNames& stored) {
  const File file = read(path, flags, dtype, Role::inputs);
  Dataset out;
  take_inputs(out, path, file, stored_targets(path, file, stored), stored);
  return {out.x, out.grid};
}

}  // namespace sinew::tools
