// Optimizer updates; one piece of 4096 elements per task. Coefficients are computed in double and
// rounded once to the element type, sums and products in the order that PyTorch takes them.
#include "ops/update.h"

#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "core/vec.h"

namespace sinew {
namespace {

// m + w (g - m) from the nearer end: for w >= 1/2 it starts at g.
template <class T>
struct Lerp {
  bool from_end;
  Vec<T> w;
  explicit Lerp(double weight)
      : from_end(weight >= 0.5), w(static_cast<T>(from_end ? weight - 1 : weight)) {}
  Vec<T> operator()(Vec<T> m, Vec<T> g) const { return (from_end ? g : m) + w * (g - m); }
};

template <class T>
void adam_of(Cpu& device, const AdamArgs& a) {
  if (a.go && *a.go == 0) return;
  const double lr = a.clock[0], t = a.clock[1] + 1;
  const double step = lr / (1 - std::pow(a.beta1, t));
  const Vec<T> root2(static_cast<T>(std::sqrt(1 - std::pow(a.beta2, t))));
  const Vec<T> minus_step(static_cast<T>(-step)), eps(static_cast<T>(a.eps));
  const Vec<T> shrink(static_cast<T>(1 - lr * a.decoupled_decay)), decay(static_cast<T>(a.decay));
  const Vec<T> beta2(static_cast<T>(a.beta2)), rest2(static_cast<T>(1 - a.beta2));
  const Lerp<T> lerp(1 - a.beta1);
  parallel_pieces(device, a.n, 4096, 4, [&](int64_t first, int64_t count) {
    T* p = static_cast<T*>(a.p) + first;
    const T* g = static_cast<const T*>(a.g) + first;
    T* m = static_cast<T*>(a.m) + first;
    T* v = static_cast<T*>(a.v) + first;
    for_each_vector<T>(count, [&](int64_t i, auto io) {
      const Vec<T> weight = io.get(p + i), gradient = io.get(g + i) + decay * weight;
      const Vec<T> mean = lerp(io.get(m + i), gradient);
      const Vec<T> square = io.get(v + i) * beta2 + rest2 * gradient * gradient;
      io.put(m + i, mean);
      io.put(v + i, square);
      io.put(p + i, weight * shrink + minus_step * mean / (sqrt(square) / root2 + eps));
    });
  });
  a.clock[1] = t;
}

template <class T>
void sgd_of(Cpu& device, const SgdArgs& a) {
  if (a.go && *a.go == 0) return;
  const Vec<T> minus_lr(static_cast<T>(-a.clock[0])), decay(static_cast<T>(a.decay));
  const Vec<T> momentum(static_cast<T>(a.momentum));
  parallel_pieces(device, a.n, 4096, 2, [&](int64_t first, int64_t count) {
    T* p = static_cast<T*>(a.p) + first;
    const T* g = static_cast<const T*>(a.g) + first;
    T* velocity = a.velocity ? static_cast<T*>(a.velocity) + first : nullptr;
    for_each_vector<T>(count, [&](int64_t i, auto io) {
      const Vec<T> weight = io.get(p + i);
      Vec<T> direction = io.get(g + i) + decay * weight;
      if (velocity) {
        direction = io.get(velocity + i) * momentum + direction;
        io.put(velocity + i, direction);
      }
      io.put(p + i, weight + minus_lr * direction);
    });
  });
  a.clock[1] += 1;
}

template <class T>
void clip_of(Cpu& device, const ClipArgs& a) {
  const T norm = *static_cast<const T*>(a.norm);
  const T ratio = T(1) / (norm + T(1e-6)) * static_cast<T>(a.max_norm);
  const Vec<T> factor(ratio > T(1) ? T(1) : ratio);  // NaN stays NaN
  parallel_pieces(device, a.n, 4096, 1, [&](int64_t first, int64_t count) {
    T* g = static_cast<T*>(a.g) + first;
    for_each_vector<T>(count, [&](int64_t i, auto io) { io.put(g + i, io.get(g + i) * factor); });
  });
}

}  // namespace

template <>
void adam(Cpu& device, const AdamArgs& args) {
  by_real_type(args.dtype, [&](auto type) { adam_of<decltype(type)>(device, args); });
}

template <>
void sgd(Cpu& device, const SgdArgs& args) {
  by_real_type(args.dtype, [&](auto type) { sgd_of<decltype(type)>(device, args); });
}

template <>
void clip(Cpu& device, const ClipArgs& args) {
  by_real_type(args.dtype, [&](auto type) { clip_of<decltype(type)>(device, args); });
}

template <>
void tally(Cpu&, const TallyArgs& args) {
  by_real_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    add_step(*args.tally, static_cast<double>(*static_cast<const T*>(args.loss)),
             static_cast<double>(*static_cast<const T*>(args.norm)), args);
  });
}

template <>
void pack(Cpu& device, const PackArgs& a) {
  int64_t bytes = 0;
  for (int i = 0; i < a.count; ++i) bytes += a.parts[i].bytes;
  parallel_for(device, a.count, bytes / (4 * a.count + 1), [&](int64_t i) {
    const Part& p = a.parts[i];
    std::memcpy(static_cast<char*>(a.y) + p.first, p.x, static_cast<size_t>(p.bytes));
  });
}

}  // namespace sinew
