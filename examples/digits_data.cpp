#include "digits_data.h"

#include <cmath>
#include <vector>

#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/ops.h"

using namespace sinew;

namespace {

constexpr int side = 8, pixels = side * side;

float pixel(const float* image, int row, int column) {
  const bool inside = row >= 0 && row < side && column >= 0 && column < side;
  return inside ? image[row * side + column] : 0.0F;
}

// Between the four pixels around (row, column), weighted by nearness.
float between(const float* image, double row, double column) {
  const int r = static_cast<int>(std::floor(row)), c = static_cast<int>(std::floor(column));
  const auto down = static_cast<float>(row - r), right = static_cast<float>(column - c);
  return (1 - down) * ((1 - right) * pixel(image, r, c) + right * pixel(image, r, c + 1)) +
         down * ((1 - right) * pixel(image, r + 1, c) + right * pixel(image, r + 1, c + 1));
}

void distort(const float* from, float* to, NumpyGenerator& generator) {
  constexpr double degree = 0.017453292519943295, middle = (side - 1) / 2.0;
  const double angle = generator.uniform(-15, 15) * degree;
  const double width = std::exp(generator.uniform(-0.15, 0.15));
  const double height = std::exp(generator.uniform(-0.15, 0.15));
  const double right = generator.uniform(-1, 1), down = generator.uniform(-1, 1);
  for (int row = 0; row < side; ++row)
    for (int column = 0; column < side; ++column) {
      const double y = (row - middle) * height, x = (column - middle) * width;
      to[row * side + column] =
          between(from, std::cos(angle) * y - std::sin(angle) * x + middle + down,
                  std::sin(angle) * y + std::cos(angle) * x + middle + right);
    }
}

}  // namespace

Digits read_digits(const std::string& path) {
  const Tensor table = read_csv(path).values;
  if (table.dim(1) != pixels + 1)
    throw Error(path + ": needs 64 pixels and a label per row " + table.shape().str());
  const Tensor images = affine(slice(table, 1, 0, pixels), 1.0 / 16, 0);
  if (min(images).value() < 0 || max(images).value() > 1)
    throw Error(path + ": a pixel is not in 0 to 16");
  const Tensor labels = slice(table, 1, pixels, 1);
  if (min(labels).value() < 0 || max(labels).value() > 9)
    throw Error(path + ": a label is not in 0 to 9");
  return {images, cast(reshape(labels, {table.dim(0)}), DType::i32)};
}

Digits rows(const Digits& digits, int64_t first, int64_t count) {
  return {digits.images.rows(first, count), digits.labels.rows(first, count)};
}

Digits without_rows(const Digits& digits, int64_t first, int64_t count) {
  std::vector<int32_t> kept;
  for (int64_t i = 0; i < digits.labels.numel(); ++i)
    if (i < first || i >= first + count) kept.push_back(static_cast<int32_t>(i));
  const Tensor index = Tensor::from(kept, {static_cast<int64_t>(kept.size())});
  return {gather(digits.images, index), gather(digits.labels, index)};
}

Tensor distorted(const Tensor& images, NumpyGenerator& generator) {
  const std::vector<float> from = images.host<float>();
  std::vector<float> to(from.size());
  for (size_t i = 0; i < from.size(); i += pixels) distort(&from[i], &to[i], generator);
  return Tensor::from(to, images.shape());
}
