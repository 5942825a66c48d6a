// Shared by the activations.
#pragma once
#include <numeric>
#include <utility>

#include "sinew/nn.h"

namespace sinew {

// Any activation but mixed, gelu included.
std::unique_ptr<Activation> make_part(ActivationKind kind, int64_t features,
                                      const ActivationConfig& config, TorchGenerator& generator);

// f on z with the axis `feature_dim` last, and back.
template <class F>
Tensor along(const Tensor& z, int feature_dim, const F& f) {
  const auto axis = static_cast<size_t>(z.shape().axis(feature_dim));
  std::vector<int> axes(static_cast<size_t>(z.rank()));
  if (axis + 1 == axes.size()) return f(z);
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[axis], axes.back());
  return permute(f(permute(z, axes)), axes);
}

}  // namespace sinew
