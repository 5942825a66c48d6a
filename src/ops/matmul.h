// y (m, n) = op(a) op(b) [+ bias]; op(a) is (m, k), op(b) is (k, n).
#pragma once
#include "core/exec.h"

namespace sinew {

// How the product is cut into tasks: a function of the sizes alone, so that bits never depend on
// the number of threads. Outputs with few tiles and a long inner axis (dw = x^T dy of a large
// batch) are cut along k too; the slices' partial products are added in order.
struct MatmulTiles {
  int64_t rows, columns, depth;
  int64_t row_tiles, column_tiles, slices;
};

inline MatmulTiles matmul_tiles(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t enough = 16, worth_cutting = 1 << 18;  // tasks, multiplications
  MatmulTiles t{128, 192, k, 0, 0, 1};  // 192: whole registers at every instruction-set level
  const auto tiles = [&] {
    t.row_tiles = (m + t.rows - 1) / t.rows;
    t.column_tiles = (n + t.columns - 1) / t.columns;
    return t.row_tiles * t.column_tiles;
  };
  if (tiles() >= enough || m * n * k < worth_cutting) return t;
  if (k >= 4096) {
    t.depth = 2048;
    t.slices = (k + t.depth - 1) / t.depth;
    return t;
  }
  while (tiles() < enough && t.rows > 32) t.rows /= 2;
  while (tiles() < enough && t.columns > 48) t.columns /= 2;
  return t;
}

struct MatmulArgs {
  DType dtype;       // of a and b
  DType y_dtype;     // of bias and y; on the CPU the same
  const void* a;     // (m, k), or (k, m) if trans_a
  const void* b;     // (k, n), or (n, k) if trans_b
  const void* bias;  // (n) or null
  void* y;
  void* partial;  // (slices, m, n) if slices > 1; on the CPU only
  int64_t m, n, k;
  bool trans_a, trans_b;
};
template <class D>
void matmul(D& device, const MatmulArgs& args);

}  // namespace sinew
