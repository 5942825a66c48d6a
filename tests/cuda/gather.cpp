// gather and scatter_add on the GPU: all widths of rows, indices that repeat, are missing or, in a
// replayed step, out of range; sums in the order of i.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/parity.h"
#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/step.h"

using namespace sinew;
using namespace sinew::test;

namespace {

std::vector<int32_t> indices(int64_t count, int64_t rows) {
  TorchGenerator generator(17);
  std::vector<int32_t> index(static_cast<size_t>(count));
  for (int32_t& i : index)
    i = static_cast<int32_t>(generator.uniform(0, 1) * 0.999f * static_cast<float>(rows));
  return index;
}
Tensor as_index(const std::vector<int32_t>& index) {
  return Tensor::from(index, {static_cast<int64_t>(index.size())});
}

// On the CPU in f32, whose sums are in the order of i.
std::vector<double> scattered(Device device, const std::vector<int32_t>& index, int64_t rows,
                              int64_t row) {
  const OnDevice scope(device);
  TorchGenerator generator(23);
  std::vector<float> x(index.size() * static_cast<size_t>(row));
  for (float& v : x) v = generator.uniform(-1, 1);
  const Tensor from = Tensor::from(x, {static_cast<int64_t>(index.size()), row});
  return scatter_add(from, as_index(index), rows).values();
}

}  // namespace

TEST_CASE("cuda: gather copies rows of every width and type") {
  const auto rows = [](Device device, DType dtype, int64_t width, int64_t first) {
    const OnDevice scope(device);
    std::vector<float> values(static_cast<size_t>(40 * width));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251);
    const Tensor x = cast(Tensor::from(values, {40, width}), dtype);
    const Tensor y = gather(x.rows(first, 40 - first), as_index(indices(33, 40 - first)));
    return cast(y, DType::f64).values();
  };
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8})
    for (const int64_t width : {1, 2, 3, 4, 16, 33})
      for (const int64_t first : {0, 1})
        CHECK(rows(Device::cuda, dtype, width, first) == rows(Device::cpu, dtype, width, first));
  for (const int64_t width : {1, 2, 3, 8})
    CHECK(rows(Device::cuda, DType::bf16, width, 1) == rows(Device::cpu, DType::f32, width, 1));
}

TEST_CASE("cuda: gather and scatter_add, values and gradients") {
  for (const int64_t count : parity_sizes) {
    const std::vector<int32_t> index = indices(count, 33);
    Parity p;
    p.length = count;
    p.inputs = {{{33, 3}}};
    p.f = [&](const std::vector<Tensor>& in) { return gather(in[0], as_index(index)); };
    check_parity("gather", p);
    p.inputs = {{{count, 3}}};
    p.f = [&](const std::vector<Tensor>& in) { return scatter_add(in[0], as_index(index), 33); };
    check_parity("scatter_add", p);
  }
}

TEST_CASE("cuda: scatter_add is in the order of i, bit for bit") {
  std::vector<int32_t> falling(1100), few(700);
  for (size_t i = 0; i < falling.size(); ++i) falling[i] = static_cast<int32_t>(1099 - i);
  for (size_t i = 0; i < few.size(); ++i) few[i] = i % 3 == 0 ? 2 : 0;
  const auto check = [](const std::vector<int32_t>& index, int64_t rows, int64_t row) {
    CHECK(scattered(Device::cuda, index, rows, row) == scattered(Device::cpu, index, rows, row));
  };
  for (const int64_t count : {0, 1, 511, 512, 513, 1024, 1025, 4097})
    check(indices(count, 19), 19, 2);
  check(falling, 1100, 3);
  check(few, 5, 2);                            // rows 1, 3, 4 get nothing
  check(std::vector<int32_t>(600, 4), 5, 33);  // one row gets all
  check(indices(31, 7), 0 + 7, 0);             // rows of no elements
  check({}, 0, 4);
}

TEST_CASE("cuda: gather without the check gives NaN for a row out of range") {
  const OnDevice cuda(Device::cuda);
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2});
  const auto y = gather(x, as_index({1, 2, -1}), IndexCheck::no).values();
  CHECK(y[0] == 3);
  CHECK(y[1] == 4);
  for (size_t i = 2; i < 6; ++i) CHECK(std::isnan(y[i]));
}

TEST_CASE("cuda: a replayed step with indices that no one checked") {
  const OnDevice cuda(Device::cuda);
  Step step([](const std::vector<Tensor>& in) {
    return std::vector{gather(in[0], in[1]), scatter_add(in[0], in[1], 2)};
  });
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2});
  for (int i = 0; i < 2; ++i) step({x, as_index({0, 1, 0})});
  const auto out = step({x, as_index({-1, 1, 2147483647})});
  const std::vector<double> y = out[0].values();
  for (const size_t i : {0, 1, 4, 5}) CHECK(std::isnan(y[i]));
  CHECK(y[2] == 3);
  CHECK(y[3] == 4);
  CHECK(out[1].values() == std::vector<double>{0, 0, 3, 4});
  CHECK(step({x, as_index({1, 1, 1})})[1].values() == std::vector<double>{0, 0, 9, 12});
}
