// One task per tile of y and slice of k: Eigen's single-threaded GEMM adds the tile's product to
// the bias (or to 0). The blocking is fixed, so that bits do not depend on the processor's caches.
// Eigen's kernel is entered below its expressions: a third of their compile time.
// Row-major y is Eigen's column-major y^T = op(b)^T op(a)^T, whose rows (n) fill the SIMD lanes.
// Narrow y (n < 16) is computed as op(a) op(b) with m on the lanes, into a scratch tile.
#include "ops/matmul.h"

#include <Eigen/Core>

#include "core/parallel.h"

namespace sinew {
namespace {

using Eigen::ColMajor, Eigen::RowMajor;

constexpr int64_t narrow = 16, most_rows = 128;

template <class T>
struct Blocking : Eigen::internal::level3_blocking<T, T> {
  explicit Blocking(int64_t depth) {
    this->m_mc = 192;
    this->m_nc = 128;
    this->m_kc = depth < 256 ? depth : 256;
  }
};

template <class T>
struct Operand {
  const T* p;
  int64_t stride;  // between the major axis' neighbours
  bool row_major;
  Operand from(int64_t row, int64_t column) const {
    return {p + (row_major ? row * stride + column : column * stride + row), stride, row_major};
  }
  Operand transposed() const { return {p, stride, !row_major}; }
};

template <class T, int left, int right>
void gemm_of(int64_t rows, int64_t columns, int64_t depth, const Operand<T>& a, const Operand<T>& b,
             T* y, int64_t stride) {
  using Index = Eigen::Index;
  Blocking<T> blocking(depth);
  Eigen::internal::general_matrix_matrix_product<Index, T, left, false, T, right, false, ColMajor,
                                                 1>::run(rows, columns, depth, a.p, a.stride, b.p,
                                                         b.stride, y, 1, stride, T(1), blocking,
                                                         nullptr);
}

// Column-major y (rows, columns) += a (rows, depth) b (depth, columns).
template <class T>
void gemm(int64_t rows, int64_t columns, int64_t depth, const Operand<T>& a, const Operand<T>& b,
          T* y, int64_t stride) {
  if (a.row_major && b.row_major)
    gemm_of<T, RowMajor, RowMajor>(rows, columns, depth, a, b, y, stride);
  else if (a.row_major)
    gemm_of<T, RowMajor, ColMajor>(rows, columns, depth, a, b, y, stride);
  else if (b.row_major)
    gemm_of<T, ColMajor, RowMajor>(rows, columns, depth, a, b, y, stride);
  else
    gemm_of<T, ColMajor, ColMajor>(rows, columns, depth, a, b, y, stride);
}

// y (rows, columns), row-major = bias + a b.
template <class T>
void tile(int64_t rows, int64_t columns, int64_t depth, const Operand<T>& a, const Operand<T>& b,
          const T* bias, T* y, int64_t stride) {
  if (columns < narrow) {
    T scratch[most_rows * narrow];
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < rows; ++i) scratch[j * rows + i] = bias ? bias[j] : T(0);
    gemm(rows, columns, depth, a, b, scratch, rows);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) y[i * stride + j] = scratch[j * rows + i];
    return;
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) y[i * stride + j] = bias ? bias[j] : T(0);
  gemm(columns, rows, depth, b.transposed(), a.transposed(), y, stride);
}

template <class T>
void add_slices(Cpu& device, const MatmulArgs& args, int64_t slices) {
  const T* partial = static_cast<const T*>(args.partial);
  const T* bias = static_cast<const T*>(args.bias);
  T* y = static_cast<T*>(args.y);
  const int64_t size = args.m * args.n;
  parallel_pieces(device, size, 1024, slices, [=](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i) y[i] = bias ? bias[i % args.n] : T(0);
    for (int64_t s = 0; s < slices; ++s)
      for (int64_t i = first; i < first + count; ++i) y[i] += partial[s * size + i];
  });
}

template <class T>
void matmul_of(Cpu& device, const MatmulArgs& args) {
  const int64_t m = args.m, n = args.n, k = args.k;
  const MatmulTiles t = matmul_tiles(m, n, k);
  const Operand<T> a{static_cast<const T*>(args.a), args.trans_a ? m : k, !args.trans_a};
  const Operand<T> b{static_cast<const T*>(args.b), args.trans_b ? k : n, !args.trans_b};
  const T* bias = t.slices > 1 ? nullptr : static_cast<const T*>(args.bias);
  T* y = static_cast<T*>(t.slices > 1 ? args.partial : args.y);
  const auto at_most = [](int64_t rest, int64_t size) { return rest < size ? rest : size; };

  const int64_t tiles = t.row_tiles * t.column_tiles;
  parallel_for(device, tiles * t.slices, t.rows * t.columns * t.depth / 16 + 1, [&](int64_t task) {
    const int64_t s = task / tiles, p = s * t.depth;
    const int64_t i = task % tiles / t.column_tiles * t.rows;
    const int64_t j = task % t.column_tiles * t.columns;
    tile(at_most(m - i, t.rows), at_most(n - j, t.columns), at_most(k - p, t.depth), a.from(i, p),
         b.from(p, j), bias ? bias + j : nullptr, y + (s * m + i) * n + j, n);
  });
  if (t.slices > 1) add_slices<T>(device, args, t.slices);
}

}  // namespace

template <>
void matmul(Cpu& device, const MatmulArgs& args) {
  if (args.dtype == DType::f64)
    matmul_of<double>(device, args);
  else
    matmul_of<float>(device, args);
}

}  // namespace sinew
