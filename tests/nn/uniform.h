// Data for the tests of training.
#pragma once
#include <vector>

#include "sinew/random.h"
#include "sinew/tensor.h"

namespace sinew::test {

inline Tensor uniform(const Shape& shape, int64_t seed) {  // in [-1, 1)
  NumpyGenerator generator(seed);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = static_cast<float>(generator.uniform(-1, 1));
  return Tensor::from(values, shape);
}

}  // namespace sinew::test
