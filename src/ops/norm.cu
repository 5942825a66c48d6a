// One team of threads per row (cuda/rows.h): x is read once, then mean, variance and y come from
// registers. The backward works on fixed chunks of rows, one block each: dx as the rows pass by,
// the parameters' gradients in registers, then summed over the block's teams and over the chunks in
// order. Formulas: norm.cpu.cpp.
#include "ops/norm.h"

#include "cuda/rows.h"

namespace sinew {
namespace {

template <class Shape, class T>
__global__ void __launch_bounds__(Team<Shape::threads>::block)
    norm_kernel(NormArgs a, Shape shape) {
  constexpr int each = Shape::each;
  const auto team = shape.team;
  const int lane = team.lane(), size = team.size();
  const float count = static_cast<float>(a.n);
  Row<each, float> weight, bias{};
  weight.load(static_cast<const float*>(a.weight), lane, size, a.n);
  if (a.bias) bias.load(static_cast<const float*>(a.bias), lane, size, a.n);
  const int64_t step = int64_t{gridDim.x} * team.teams();
  for (int64_t base = int64_t{blockIdx.x} * team.teams(); base < a.rows; base += step) {
    const int64_t row = base + team.index(), n = row < a.rows ? a.n : 0;
    Row<each, T> x;
    x.load(static_cast<const T*>(a.x) + row * a.n, lane, size, n);
    float mean = 0;
    if (a.centred) {
      for_cells<each>(lane, size, n, [&](auto i, int k) { mean += x.get(i, k); });
      mean = team.sum(mean) / count;
    }
    float variance = 0;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      const float d = x.get(i, k) - mean;
      variance += d * d;
    });
    const float r = 1 / sqrtf(team.sum(variance) / count + static_cast<float>(a.eps));
    T* y = static_cast<T*>(a.y) + row * a.n;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      const float v = (x.get(i, k) - mean) * r * weight.get(i, k);
      y[i] = Store<T>::from(a.bias ? v + bias.get(i, k) : v);
    });
    if (n > 0 && lane == 0) {
      static_cast<float*>(a.stats)[2 * row] = mean;
      static_cast<float*>(a.stats)[2 * row + 1] = r;
    }
  }
}

// The parameters' gradients of a chunk: in registers, or for long rows in the partial sums
// themselves, where each element has one thread.
template <int each>
struct Gradients {
  float weight[each > 0 ? each : 1], bias[each > 0 ? each : 1];
  float* partial;  // (2, n) of the chunk
  int64_t n;

  __device__ void clear(int lane, int size) {
    if constexpr (each > 0)
      for (int k = 0; k < each; ++k) weight[k] = bias[k] = 0;
    else
      for_cells<0>(lane, size, n, [&](int64_t i, int) { partial[i] = partial[n + i] = 0; });
  }
  template <class I>
  __device__ void add(I i, int k, float dweight, float dbias) {
    if constexpr (each > 0) {
      weight[k] += dweight;
      bias[k] += dbias;
    } else {
      partial[i] += dweight;
      partial[n + i] += dbias;
    }
  }
  // Every thread of the block calls it.
  template <int threads>
  __device__ void finish(Team<threads> team) {
    if constexpr (threads > 32 && each > 0) {
      for_cells<each>(team.lane(), team.size(), n, [&](auto i, int k) {
        partial[i] = weight[k];
        partial[n + i] = bias[k];
      });
    } else if constexpr (each > 0) {
      constexpr int width = threads_per_block * each;
      __shared__ float sums[2 * width];  // (2, teams, size * each)
      const int row = team.size() * each, lane = team.lane();
      for (int k = 0; k < each; ++k) {
        const int at = team.index() * row + k * team.size() + lane;
        sums[at] = weight[k];
        sums[width + at] = bias[k];
      }
      __syncthreads();
      for (int64_t i = threadIdx.x; i < 2 * n; i += threads_per_block) {
        const float* from = i < n ? sums + i : sums + width + (i - n);
        float sum = 0;
        for (int t = 0; t < team.teams(); ++t) sum += from[t * row];
        partial[i] = sum;
      }
    }
  }
};

template <class Shape, class T>
__global__ void __launch_bounds__(Team<Shape::threads>::block)
    norm_backward_kernel(NormBackwardArgs a, Shape shape) {
  constexpr int each = Shape::each;
  const auto team = shape.team;
  const int lane = team.lane(), size = team.size();
  const float scale = 1 / static_cast<float>(a.n);
  Row<each, float> weight;
  weight.load(static_cast<const float*>(a.weight), lane, size, a.n);
  Gradients<each> sums;
  sums.partial = static_cast<float*>(a.partial) + int64_t{blockIdx.x} * 2 * a.n;
  sums.n = a.n;
  sums.clear(lane, size);
  const int64_t end = a.rows * (int64_t{blockIdx.x} + 1) / a.chunks;
  for (int64_t base = a.rows * int64_t{blockIdx.x} / a.chunks; base < end; base += team.teams()) {
    const int64_t row = base + team.index(), n = row < end ? a.n : 0;
    Row<each, T> x, dy;
    x.load(static_cast<const T*>(a.x) + row * a.n, lane, size, n);
    dy.load(static_cast<const T*>(a.dy) + row * a.n, lane, size, n);
    const float* stats = static_cast<const float*>(a.stats) + 2 * row;
    const float mean = n > 0 ? stats[0] : 0, r = n > 0 ? stats[1] : 0;
    const auto normal = [&](auto i, int k) { return (x.get(i, k) - mean) * r; };
    float sum_g = 0, sum_gh = 0;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      const float g = dy.get(i, k) * weight.get(i, k), h = normal(i, k);
      if constexpr (each > 0) x.held[k] = h;  // in place of x
      sum_g += g;
      sum_gh += g * h;
    });
    const float mean_g = a.centred ? team.sum(sum_g) * scale : 0;
    const float mean_gh = team.sum(sum_gh) * scale;
    T* dx = static_cast<T*>(a.dx) + row * a.n;
    for_cells<each>(lane, size, n, [&](auto i, int k) {
      const float h = each > 0 ? x.held[k] : normal(i, k), g = dy.get(i, k);
      dx[i] = Store<T>::from(r * (g * weight.get(i, k) - mean_g - h * mean_gh));
      sums.add(i, k, g * h, g);
    });
  }
  sums.finish(team);
}

struct Put {
  float* out;
  __device__ void operator()(int64_t i, float sum) const { out[i] = sum; }
};

}  // namespace

template <>
void norm(Cuda& device, const NormArgs& args) {
  if (args.rows == 0) return;
  by_storage_type(args.dtype, [&](auto storage) {
    by_row_shape(args.n, [&](auto shape) {
      launch(norm_kernel<decltype(shape), decltype(storage)>, row_blocks(args.rows, shape.team),
             shape.team.block, 0, stream_of(device), args, shape);
    });
  });
}

template <>
void norm_backward(Cuda& device, const NormBackwardArgs& args) {
  if (args.rows > 0)
    by_storage_type(args.dtype, [&](auto storage) {
      by_row_shape(args.n, [&](auto shape) {
        launch(norm_backward_kernel<decltype(shape), decltype(storage)>,
               static_cast<unsigned>(args.chunks), shape.team.block, 0, stream_of(device), args,
               shape);
      });
    });
  column_sums(device, args.partial, args.chunks, 2 * args.n,
              Put{static_cast<float*>(args.dparameters)});
}

}  // namespace sinew
