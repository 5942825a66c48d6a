// One team of threads per row (cuda/rows.h), one read of x: the maximum, the exponentials and their
// sum in registers. A row too long for that is read twice: once with a running maximum, to which
// the sum so far is rescaled, and once to write. NaN and infinities come out as on the CPU.
#include "ops/softmax.h"

#include "cuda/rows.h"

namespace sinew {
namespace {

struct MaxSum {
  float max, sum;  // sum of exp(x - max)
};
enum class Leave : uint8_t { x, exponentials };  // in the registers

// Every thread of the block calls it.
template <int threads, int each, class T>
__device__ __forceinline__ MaxSum max_and_sum(Team<threads> team, Row<each, T>& x, int64_t n,
                                              Leave leave) {
  const int lane = team.lane(), size = team.size();
  float m = -INFINITY, s = 0;
  if constexpr (each > 0) {
    for_cells<each>(lane, size, n, [&](int, int k) { m = fmaxf(m, x.held[k]); });
    m = team.max(m);
    for_cells<each>(lane, size, n, [&](int, int k) {
      const float e = expf(x.held[k] - m);
      s += e;
      if (leave == Leave::exponentials) x.held[k] = e;
    });
    return {m, team.sum(s)};
  } else {
    for_cells<each>(lane, size, n, [&](int64_t i, int k) {
      const float v = x.get(i, k);
      if (v > m) {
        s = s * expf(m - v) + 1;
        m = v;
      } else if (v != -INFINITY) {
        s += expf(v - m);
      }
    });
    const float most = team.max(m);
    return {most, team.sum(s * expf(m - most))};  // nothing but -inf: NaN
  }
}

template <class Shape, class T>
__global__ void __launch_bounds__(Team<Shape::threads>::block)
    softmax_kernel(SoftmaxArgs a, Shape shape) {
  constexpr int each = Shape::each;
  const auto team = shape.team;
  const int lane = team.lane(), size = team.size();
  const bool logarithm = a.op == SoftmaxOp::log_softmax;
  const int64_t step = int64_t{gridDim.x} * team.teams();
  for (int64_t base = int64_t{blockIdx.x} * team.teams(); base < a.rows; base += step) {
    const int64_t row = base + team.index(), n = row < a.rows ? a.n : 0;
    Row<each, T> x;
    x.load(static_cast<const T*>(a.in) + row * a.n, lane, size, n);
    const MaxSum row_of = max_and_sum(team, x, n, logarithm ? Leave::x : Leave::exponentials);
    const float factor = 1 / row_of.sum, log_sum = logf(row_of.sum);
    T* y = static_cast<T*>(a.out) + row * a.n;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      float v = x.get(i, k);
      if (logarithm)
        v = v - row_of.max - log_sum;
      else
        v = (each > 0 ? v : expf(v - row_of.max)) * factor;
      y[i] = Store<T>::from(v);
    });
  }
}

template <class Shape, class T>
__global__ void __launch_bounds__(Team<Shape::threads>::block)
    softmax_backward_kernel(SoftmaxArgs a, Shape shape) {
  constexpr int each = Shape::each;
  const auto team = shape.team;
  const int lane = team.lane(), size = team.size();
  const bool logarithm = a.op == SoftmaxOp::log_softmax_backward;
  const int64_t step = int64_t{gridDim.x} * team.teams();
  for (int64_t base = int64_t{blockIdx.x} * team.teams(); base < a.rows; base += step) {
    const int64_t row = base + team.index(), n = row < a.rows ? a.n : 0;
    Row<each, T> y, dy;
    y.load(static_cast<const T*>(a.in) + row * a.n, lane, size, n);
    dy.load(static_cast<const T*>(a.dy) + row * a.n, lane, size, n);
    float sum = 0;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      sum += logarithm ? dy.get(i, k) : dy.get(i, k) * y.get(i, k);
    });
    sum = team.sum(sum);
    T* dx = static_cast<T*>(a.out) + row * a.n;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      const float v = y.get(i, k), d = dy.get(i, k);
      dx[i] = Store<T>::from(logarithm ? d - expf(v) * sum : v * (d - sum));
    });
  }
}

template <class Shape, class T>
__global__ void __launch_bounds__(Team<Shape::threads>::block)
    cross_entropy_kernel(CrossEntropyArgs a, Shape shape) {
  constexpr int each = Shape::each;
  const auto team = shape.team;
  const int64_t step = int64_t{gridDim.x} * team.teams();
  for (int64_t base = int64_t{blockIdx.x} * team.teams(); base < a.rows; base += step) {
    const int64_t row = base + team.index(), n = row < a.rows ? a.n : 0;
    Row<each, T> x;
    x.load(static_cast<const T*>(a.x) + row * a.n, team.lane(), team.size(), n);
    const MaxSum row_of = max_and_sum(team, x, n, Leave::x);
    if (row >= a.rows || team.lane() > 0) continue;
    const float log_sum = logf(row_of.sum);
    const int32_t label = a.labels[row];
    const bool inside = label >= 0 && label < a.n;
    static_cast<float*>(a.losses)[row] = inside ? log_sum - (widen(x.p[label]) - row_of.max) : NAN;
    static_cast<float*>(a.stats)[2 * row] = row_of.max;
    static_cast<float*>(a.stats)[2 * row + 1] = log_sum;
  }
}

// Nothing is summed here: a long row is shared among the blocks of grid.y.
constexpr int64_t cross_entropy_piece = 4096;
constexpr int batch = 4;  // elements that a thread reads before it writes the first

template <int threads, class T>
__global__ void __launch_bounds__(Team<threads>::block)
    cross_entropy_backward_kernel(CrossEntropyArgs a, Team<threads> team) {
  const float* stats = static_cast<const float*>(a.stats);
  const float scale = *static_cast<const float*>(a.dloss) / static_cast<float>(a.rows);
  const int64_t step = int64_t{gridDim.x} * team.teams();
  const int64_t first = int64_t{blockIdx.y} * cross_entropy_piece;
  const int64_t end = first + cross_entropy_piece < a.n ? first + cross_entropy_piece : a.n;
  for (int64_t row = int64_t{blockIdx.x} * team.teams() + team.index(); row < a.rows; row += step) {
    const T* x = static_cast<const T*>(a.x) + row * a.n;
    T* dx = static_cast<T*>(a.dx) + row * a.n;
    const int32_t label = a.labels[row];
    const float factor = label >= 0 && label < a.n ? scale : NAN;
    const float max = stats[2 * row], log_sum = stats[2 * row + 1];
    for (int64_t i = first + team.lane(); i < end; i += batch * team.size()) {
      float v[batch];
#pragma unroll
      for (int k = 0; k < batch; ++k)
        v[k] = i + k * team.size() < end ? widen(x[i + k * team.size()]) : 0;
#pragma unroll
      for (int k = 0; k < batch; ++k) {
        const int64_t at = i + k * team.size();
        const float p = expf(v[k] - max - log_sum);
        if (at < end) dx[at] = Store<T>::from((at == label ? p - 1 : p) * factor);
      }
    }
  }
}

template <class T, int threads>
void cross_entropy_backward(const Cuda& device, const CrossEntropyArgs& a, Team<threads> team) {
  const int64_t pieces = (a.n + cross_entropy_piece - 1) / cross_entropy_piece;
  if (pieces > 0)
    launch(cross_entropy_backward_kernel<threads, T>,
           dim3(row_blocks(a.rows, team), static_cast<unsigned>(pieces)), team.block, 0,
           stream_of(device), a, team);
}

}  // namespace

template <>
void softmax(Cuda& device, const SoftmaxArgs& args) {
  if (args.rows == 0) return;
  const bool forward = args.op == SoftmaxOp::softmax || args.op == SoftmaxOp::log_softmax;
  by_storage_type(args.dtype, [&](auto storage) {
    by_row_shape(args.n, [&](auto shape) {
      using Shape = decltype(shape);
      using T = decltype(storage);
      launch(forward ? softmax_kernel<Shape, T> : softmax_backward_kernel<Shape, T>,
             row_blocks(args.rows, shape.team), shape.team.block, 0, stream_of(device), args,
             shape);
    });
  });
}

template <>
void cross_entropy(Cuda& device, const CrossEntropyArgs& args) {
  if (args.rows == 0) return;
  by_storage_type(args.dtype, [&](auto storage) {
    using T = decltype(storage);
    if (!args.dx)
      return by_row_shape(args.n, [&](auto shape) {
        launch(cross_entropy_kernel<decltype(shape), T>, row_blocks(args.rows, shape.team),
               shape.team.block, 0, stream_of(device), args, shape);
      });
    by_row_shape(args.n, [&](auto shape) {
      if constexpr (shape.threads <= 32)
        cross_entropy_backward<T>(device, args, shape.team);
      else
        cross_entropy_backward<T>(device, args, Team<256>());
    });
  });
}

}  // namespace sinew
