// Optimizer updates: f32, one element per thread. What depends on the step alone is computed in
// double once per block; a last kernel of one thread counts the step, after all have read it.
// Sources: see update.cpp. Sums and products in the order of update.cpu.cpp.
#include "ops/update.h"

#include "cuda/kernel.h"

namespace sinew {
namespace {

__device__ __forceinline__ bool goes(const double* go) { return !go || *go != 0; }

struct Count {
  double* clock;
  const double* go;
  __device__ void operator()(int64_t) const {
    if (goes(go)) clock[1] += 1;
  }
};

struct AdamStep {
  float minus_step, root2, shrink, decay, beta2, rest2, eps, lerp;
  bool from_end;  // m + w (g - m) from the nearer end: for w >= 1/2 it starts at g
};

__device__ AdamStep adam_step(const AdamArgs& a) {
  const double lr = a.clock[0], t = a.clock[1] + 1, weight = 1 - a.beta1;
  AdamStep s;
  s.minus_step = static_cast<float>(-(lr / (1 - pow(a.beta1, t))));
  s.root2 = static_cast<float>(sqrt(1 - pow(a.beta2, t)));
  s.shrink = static_cast<float>(1 - lr * a.decoupled_decay);
  s.decay = static_cast<float>(a.decay);
  s.beta2 = static_cast<float>(a.beta2);
  s.rest2 = static_cast<float>(1 - a.beta2);
  s.eps = static_cast<float>(a.eps);
  s.from_end = weight >= 0.5;
  s.lerp = static_cast<float>(s.from_end ? weight - 1 : weight);
  return s;
}

__global__ void __launch_bounds__(threads_per_block) adam_kernel(AdamArgs a) {
  if (!goes(a.go)) return;
  __shared__ AdamStep shared;
  if (threadIdx.x == 0) shared = adam_step(a);
  __syncthreads();
  const AdamStep s = shared;
  float* p = static_cast<float*>(a.p);
  const float* g = static_cast<const float*>(a.g);
  float* m = static_cast<float*>(a.m);
  float* v = static_cast<float*>(a.v);
  const int64_t step = int64_t{gridDim.x} * threads_per_block;
#pragma unroll 1
  for (int64_t i = int64_t{blockIdx.x} * threads_per_block + threadIdx.x; i < a.n; i += step) {
    const float weight = p[i], gradient = g[i] + s.decay * weight, old = m[i];
    const float mean = (s.from_end ? gradient : old) + s.lerp * (gradient - old);
    const float square = v[i] * s.beta2 + s.rest2 * gradient * gradient;
    m[i] = mean;
    v[i] = square;
    p[i] = weight * s.shrink + s.minus_step * mean / (sqrtf(square) / s.root2 + s.eps);
  }
}

struct Sgd {
  float *p, *velocity;
  const float* g;
  const double *clock, *go;
  float momentum, decay;
  __device__ void operator()(int64_t i) const {
    if (!goes(go)) return;
    const float weight = p[i];
    float direction = g[i] + decay * weight;
    if (velocity) velocity[i] = direction = velocity[i] * momentum + direction;
    p[i] = weight + static_cast<float>(-clock[0]) * direction;
  }
};

struct Clip {
  float* g;
  const float* norm;
  float most;
  __device__ void operator()(int64_t i) const {
    const float ratio = 1.0f / (*norm + 1e-6f) * most;
    g[i] *= ratio > 1.0f ? 1.0f : ratio;  // NaN stays NaN
  }
};

struct AddStep {
  TallyArgs a;
  __device__ void operator()(int64_t) const {
    add_step(*a.tally, static_cast<double>(*static_cast<const float*>(a.loss)),
             static_cast<double>(*static_cast<const float*>(a.norm)), a);
  }
};

// The parts travel as the kernel's argument, at most 4 KiB; grid: (pieces, parts).
constexpr int parts_at_once = 160;
constexpr int64_t words_per_block = 16 * threads_per_block;
struct Parts {
  Part part[parts_at_once];
};

__global__ void __launch_bounds__(threads_per_block) pack_kernel(Parts parts, char* y) {
  const Part& p = parts.part[blockIdx.y];
  const uint32_t* from = static_cast<const uint32_t*>(p.x);
  uint32_t* to = reinterpret_cast<uint32_t*>(y + p.first);
  const int64_t words = p.bytes / 4, step = int64_t{gridDim.x} * threads_per_block;
#pragma unroll 1
  for (int64_t i = int64_t{blockIdx.x} * threads_per_block + threadIdx.x; i < words; i += step)
    to[i] = from[i];
}

}  // namespace

template <>
void adam(Cuda& device, const AdamArgs& a) {
  constexpr unsigned most_blocks = 1024;  // the GPU full once: each pays for its powers
  const unsigned blocks = blocks_for(a.n);
  if (a.n > 0)
    launch(adam_kernel, blocks < most_blocks ? blocks : most_blocks, threads_per_block, 0,
           stream_of(device), a);
  for_each(device, 1, Count{a.clock, a.go});
}

template <>
void sgd(Cuda& device, const SgdArgs& a) {
  for_each(
      device, a.n,
      Sgd{static_cast<float*>(a.p), static_cast<float*>(a.velocity), static_cast<const float*>(a.g),
          a.clock, a.go, static_cast<float>(a.momentum), static_cast<float>(a.decay)});
  for_each(device, 1, Count{a.clock, a.go});
}

template <>
void clip(Cuda& device, const ClipArgs& a) {
  for_each(device, a.n,
           Clip{static_cast<float*>(a.g), static_cast<const float*>(a.norm),
                static_cast<float>(a.max_norm)});
}

template <>
void tally(Cuda& device, const TallyArgs& a) {
  for_each(device, 1, AddStep{a});
}

template <>
void pack(Cuda& device, const PackArgs& a) {
  constexpr int64_t most_blocks = 1024;  // of one part
  for (int first = 0; first < a.count; first += parts_at_once) {
    const int count = a.count - first < parts_at_once ? a.count - first : parts_at_once;
    Parts parts;
    int64_t words = 0;
    for (int i = 0; i < count; ++i) {
      parts.part[i] = a.parts[first + i];
      if (parts.part[i].bytes / 4 > words) words = parts.part[i].bytes / 4;
    }
    const int64_t blocks = (words + words_per_block - 1) / words_per_block;
    const dim3 grid(static_cast<unsigned>(blocks < most_blocks ? blocks : most_blocks),
                    static_cast<unsigned>(count));
    launch(pack_kernel, grid, threads_per_block, 0, stream_of(device), parts,
           static_cast<char*>(a.y));
  }
}

}  // namespace sinew
