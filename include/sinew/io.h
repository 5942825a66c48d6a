// Files of tensors: safetensors, NPY, IDX, CSV. Each format has a parser of bytes in memory and a
// reader of a file. Input may be hostile: every size is checked against the bytes at hand before
// memory is taken. All functions throw Error; a reader's message starts with the file's name.
//
// Each reader also takes a file whose content is gzip, whatever its name; parsers do not.
//
// Writers make the new file beside its target, sync it to the disk and rename it, so that after a
// failure the earlier file is whole and no temporary is left. A target that exists and is not a
// regular file (a pipe, /dev/stdout) is written directly.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sinew/parameters.h"

namespace sinew {

// --- safetensors ------------------------------------------------------------------------------
// In the order of the header. F32 -> f32, F64 -> f64, F16 -> f32, BF16 -> bf16, I32 -> i32,
// I64 -> i32 (throws if a value does not fit), U8 -> u8, BOOL -> u8 (0 or 1); other types throw.
// The tensors must cover the data without gap or overlap. The header may have 100 MB.
NamedTensors parse_safetensors(std::string_view bytes);
NamedTensors read_safetensors(const std::string& path);
// Of the same types, but i32 -> I64, the index type of PyTorch. Throws on a name that is not UTF-8
// or occurs twice.
void write_safetensors(const std::string& path, const NamedTensors& tensors);

// --- NPY (numpy.org, "A simple file format for NumPy arrays"), versions 1 to 3 ---------------
// One array of f2, f4, f8, bool or integers as f32, f64 or i32; a value that i32 cannot hold
// exactly throws. Fortran order is transposed. Complex, object, text, records and big-endian throw.
Tensor parse_npy(std::string_view bytes, DType dtype = DType::f32);
Tensor read_npy(const std::string& path, DType dtype = DType::f32);
// The kind of elements that the file holds: f32 for f2 and f4, f64 for f8, i32 for the others.
DType npy_dtype(std::string_view bytes);
// f32 -> f4, f64 -> f8, i32 -> i8 (64 bits), u8 -> u1; bf16 throws. C order, version 1.
void write_npy(const std::string& path, const Tensor& tensor);

// --- IDX (the format of MNIST) --------------------------------------------------------------
// One array of rank 1 to 8, big-endian, of its own shape. u8 -> u8; i8, i16, i32 -> i32; f32 and
// f64 as they are. Bytes: 0, 0, type (8, 9, 11, 12, 13, 14 in this order), rank, then each size
// in 4 bytes, then the elements and nothing else.
Tensor parse_idx(std::string_view bytes);
Tensor read_idx(const std::string& path);

// --- CSV ------------------------------------------------------------------------------------
// Numbers between commas, rounded to f32 or f64. A first row with a cell that is not a number is a
// header. Cells may be quoted ("a ""b""") within a line; spaces around them do not count.
// Independent of the locale. Text, empty cells and rows of another length throw, with line and
// column.
struct Table {
  std::vector<std::string> columns;  // names, empty without a header
  Tensor values;                     // (rows, columns)
};
Table parse_csv(std::string_view text, DType dtype = DType::f32);
Table read_csv(const std::string& path, DType dtype = DType::f32);
// Values f32, f64 or i32 of rank 2 with at least one row and column, each number in the shortest
// form that reads back equal to its type, NaN as nan and infinities as inf. A header if there are
// names, one per column, in quotes where needed. Throws on a name that is blank or has a line break
// and on names that are all numbers: these would not read back.
std::string to_csv(const Table& table);
void write_csv(const std::string& path, const Table& table);

// --- whole files ----------------------------------------------------------------------------
std::string read_file(const std::string& path);  // throws if larger than the machine's memory
void write_file(const std::string& path, std::string_view content);
// Text of a file for a message, always UTF-8: control characters and what is no UTF-8 as \xHH; cut
// after about `longest` bytes.
std::string printable(std::string_view text, size_t longest = 80);

// --- gzip -----------------------------------------------------------------------------------
bool is_gzip(std::string_view bytes);  // by the first two bytes, 1f 8b
// The contents of all members. Throws if they are cut, corrupt or followed by other bytes, if
// they have more than `limit` bytes or than the machine's memory (which is found out before memory
// is taken), and in a build without zlib.
std::string gunzip(std::string_view bytes, uint64_t limit = UINT64_MAX);

}  // namespace sinew
