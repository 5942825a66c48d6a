// Targets that are class labels: whole numbers, their classes, and positions among these.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataset.h"

namespace sinew::tools {

// The single column of y (N, 1) as class labels. Throws, naming `file` and the row, for one that is
// not whole or too large for y's type to tell it from its neighbours (2^24, in f64 2^53).
std::vector<int64_t> whole_labels(const Tensor& y, const std::string& file);
// The position of each label among `classes`, i32 (N). Throws, naming file and row, for another
// one.
Tensor label_positions(const Tensor& y, const std::vector<int64_t>& classes,
                       const std::string& file);

// The different labels of the data, ascending. Throws for one class, for more than max_classes, and
// for a CSV with as many different numbers as a measurement has, unless a flag says that they are
// classes.
constexpr int64_t max_classes = 65536;
enum class Classes : uint8_t { by_the_data, by_a_flag };
std::vector<int64_t> classes_of(const Dataset& data, const std::string& file, Classes how);

// A fingerprint (64 bits) of shape and numbers: do two runs see the same? "none" if undefined.
std::string fingerprint(const Tensor& t);
std::string fingerprint(std::string_view bytes);

}  // namespace sinew::tools
