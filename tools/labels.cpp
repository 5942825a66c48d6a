// Class labels of data files. The fingerprint is FNV-1a.
#include "labels.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <unordered_map>

#include "sinew/error.h"

namespace sinew::tools {

std::vector<int64_t> whole_labels(const Tensor& y, const std::string& file) {
  const double limit = y.dtype() == DType::f64 ? 0x1p53 : 0x1p24;
  std::vector<int64_t> out;
  if (y.dim(1) != 1)
    throw Error(file + ": cross_entropy needs one column of labels (" + std::to_string(y.dim(1)) +
                ")");
  for (const double v : y.values()) {
    const std::string row = "row " + std::to_string(out.size() + 1);
    if (!std::isfinite(v) || v != std::trunc(v))
      throw Error(file + ": " + row + " is no label, which is whole (" + std::to_string(v) + ")");
    if (std::abs(v) >= limit)
      throw Error(file + ": " + row + " is too large for a label (" + std::to_string(v) + ")");
    out.push_back(static_cast<int64_t>(v));
  }
  return out;
}

Tensor label_positions(const Tensor& y, const std::vector<int64_t>& classes,
                       const std::string& file) {
  std::unordered_map<int64_t, int32_t> position;
  for (const int64_t label : classes)
    position.emplace(label, static_cast<int32_t>(position.size()));
  std::vector<int32_t> out;
  for (const int64_t label : whole_labels(y, file)) {
    const auto found = position.find(label);
    if (found == position.end())
      throw Error(file + ": row " + std::to_string(out.size() + 1) + ": label " +
                  std::to_string(label) + " is none of the " + std::to_string(classes.size()) +
                  " classes");
    out.push_back(found->second);
  }
  return Tensor::from(out, {static_cast<int64_t>(out.size())});
}

std::vector<int64_t> classes_of(const Dataset& data, const std::string& file, Classes how) {
  const auto fail = [&](const std::string& fact) { throw Error(file + ": " + fact); };
  std::vector<int64_t> classes = whole_labels(data.y, file);
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  const auto count = static_cast<int64_t>(classes.size());
  const std::string counted = std::to_string(count) + " different whole numbers in " +
                              std::to_string(data.y.dim(0)) + " rows";
  if (count > max_classes)
    fail("more than 65536 classes (" + counted + "); --loss mse learns numbers");
  if (!data.typed_target && how == Classes::by_the_data &&
      count > std::max<int64_t>(20, data.y.dim(0) / 10))
    fail(counted + ": say --loss cross_entropy if they are classes, --loss mse if numbers");
  if (count == 1) fail("only one class (" + std::to_string(classes[0]) + ")");
  return classes;
}

std::string fingerprint(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  char text[20];
  std::snprintf(text, sizeof text, "%016" PRIx64, hash);
  return text;
}

std::string fingerprint(const Tensor& t) {
  if (!t.defined()) return "none";
  const std::vector<double> values = t.values();
  const auto* bytes = reinterpret_cast<const char*>(values.data());
  return t.shape().str() + " " + fingerprint({bytes, values.size() * sizeof(double)});
}

}  // namespace sinew::tools
