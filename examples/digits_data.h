// Handwritten digits of 8 x 8 pixels, and small random distortions of them.
#pragma once
#include <string>

#include "sinew/random.h"
#include "sinew/tensor.h"

struct Digits {
  sinew::Tensor images;  // (rows, 64), 0 to 1
  sinew::Tensor labels;  // i32 (rows), 0 to 9
};

// From CSV with 64 pixels of 0 to 16 and a label per row. Throws sinew::Error on anything else.
Digits read_digits(const std::string& path);

Digits rows(const Digits& digits, int64_t first, int64_t count);
Digits without_rows(const Digits& digits, int64_t first, int64_t count);

// Each image turned by up to 15 degrees, stretched by up to 15 % along each axis and shifted by up
// to one pixel, all at random: the value of a new pixel is taken between the four old ones next to
// where it came from, 0 outside.
sinew::Tensor distorted(const sinew::Tensor& images, sinew::NumpyGenerator& generator);
