// Data files of the subcommands: inputs X and targets T from NPY, IDX or CSV, each also as gzip.
// The format is that of the name's end (.npy, .idx, .csv, before a .gz), else NPY or IDX by the
// first bytes, else CSV. All functions throw Error; a message starts with the file's name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "flags.h"
#include "sinew/tensor.h"

namespace sinew::tools {

struct DataFlags {
  std::string data, target, target_column, idx_scale = "unit";
  bool allow_nonfinite = false;
  // Where targets are: --target, or the CSV of --data.
  const std::string& target_file() const { return target.empty() ? data : target; }
};
// --idx-scale, --allow-nonfinite; of every subcommand that reads data.
void add_value_flags(Flags& flags, DataFlags& data);
// The above, --target, --target-column, and --data, which is returned.
Flag add_data_flags(Flags& flags, DataFlags& data);

// Of CSV files with a header, else empty.
struct ColumnNames {
  std::vector<std::string> inputs, targets;
};

struct Inputs {
  Tensor x;                   // (N, n), f32 or f64
  std::vector<int64_t> grid;  // {H, W} if the file held (N, H, W)
};

struct Dataset {
  Tensor x;
  std::vector<int64_t> grid;
  Tensor y;  // (N, outputs), the numbers of the file in the type of x
  // One column, of an integer or bool type; in CSV, of whole numbers.
  bool integer_target = false;
  bool typed_target = false;  // by the file's type: not a CSV
  ColumnNames names;
};

// X of --data and T of --target, or both of one CSV. `stored`: the names that a model was trained
// with; the columns of a CSV that has names are taken by them, whatever their order.
Dataset read_dataset(const DataFlags& flags, DType dtype, const ColumnNames& stored = {});
// X alone. A CSV may also hold the stored targets, which are ignored.
Inputs read_inputs(const std::string& path, const DataFlags& flags, DType dtype,
                   const ColumnNames& stored = {});

}  // namespace sinew::tools
