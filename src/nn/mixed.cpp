// The mixed activation: features in fixed index sets, one activation each.
// Shares: floor(ratio n), the rest to the largest remainders, ties to the lower position.
// Forward: each part picks its features with a sparse layer of one input and weight 1 (gradients of
// any order, the batch stays in place), and one more such layer restores their order.
#include <algorithm>
#include <cmath>

#include "nn/activation.h"
#include "sinew/error.h"

namespace sinew {
namespace {

void require(bool ok, const std::string& fact) {
  if (!ok) throw Error("mixed: " + fact);
}

// Checked and scaled to sum 1; the last one absorbs the drift.
std::vector<double> shares(const ActivationConfig& config) {
  const size_t count = config.types.size();
  const auto ratios =
      config.ratios.value_or(std::vector<double>(count, 1.0 / static_cast<double>(count)));
  require(ratios.size() == count, "lengths differ (types " + std::to_string(count) + ", ratios " +
                                      std::to_string(ratios.size()) + ")");
  double sum = 0;
  for (double r : ratios) {
    require(std::isfinite(r), "a ratio is not finite");
    require(r >= 0, "a ratio is negative (" + std::to_string(r) + ")");
    sum += r;
  }
  require(sum > 0, "all ratios are zero");
  require(std::abs(sum - 1) <= config.ratio_sum_tol,
          "ratios do not sum to 1 (" + std::to_string(sum) + ")");
  std::vector<double> out;
  double total = 0;
  for (double r : ratios) {
    out.push_back(r / sum);
    total += r / sum;
  }
  out.back() = std::max(0.0, out.back() + (1 - total));
  return out;
}

std::vector<int64_t> feature_counts(const std::vector<double>& shares, int64_t features) {
  std::vector<int64_t> counts;
  std::vector<double> rest;
  int64_t left = features;
  for (double share : shares) {
    const double exact = share * static_cast<double>(features);
    counts.push_back(static_cast<int64_t>(std::floor(exact)));
    rest.push_back(exact - std::floor(exact));
    left -= counts.back();
  }
  std::vector<size_t> order(shares.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rest[a] > rest[b]; });
  for (size_t i = 0; left > 0; ++i, --left) ++counts[order[i]];
  return counts;
}

Tensor pick(const Tensor& rows, const SharedConnectivity& table) {
  const DType type = rows.dtype() == DType::f64 ? DType::f64 : DType::f32;
  return geo_linear(rows, Tensor::full({table->n_out, 1}, 1, type), {}, table);
}

}  // namespace

MixedActivation::MixedActivation(int64_t n, const ActivationConfig& config,
                                 TorchGenerator& generator, std::optional<int64_t> seed)
    : features(n), feature_dim(config.feature_dim) {
  const auto& types = config.types;
  require(!types.empty(), "activation_types is missing or empty");
  for (size_t i = 0; i < types.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      require(types[i] != types[j], "a type is given twice (" + std::string(name(types[i])) + ")");

  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (config.mix_layout == MixLayout::random)
    order = TorchGenerator(seed.value_or(TorchGenerator::unseeded)).permutation(n);
  ActivationConfig part_config = config;
  part_config.feature_dim = -1;  // parts see the features on the last axis
  const auto counts = feature_counts(shares(config), n);
  std::vector<std::vector<int32_t>> sets;
  auto next = order.begin();
  for (size_t t = 0; t < types.size(); ++t) {
    if (counts[t] == 0) continue;
    sets.emplace_back(next, next + counts[t]);
    next += counts[t];
    parts.push_back(
        {types[t], sets.back(), {}, make_part(types[t], counts[t], part_config, generator)});
  }
  set_index_sets(sets);
}

void MixedActivation::set_index_sets(const std::vector<std::vector<int32_t>>& sets) {
  require(sets.size() == parts.size(), std::to_string(sets.size()) + " index sets for " +
                                           std::to_string(parts.size()) + " parts");
  std::vector<int32_t> place(static_cast<size_t>(features), -1);
  int32_t at = 0;
  for (size_t t = 0; t < sets.size(); ++t) {
    require(sets[t].size() == parts[t].index.size(),
            std::string(name(parts[t].kind)) + " has " + std::to_string(parts[t].index.size()) +
                " features, not " + std::to_string(sets[t].size()));
    for (const int32_t feature : sets[t]) {
      require(feature >= 0 && feature < features && place[static_cast<size_t>(feature)] < 0,
              "an index set holds feature " + std::to_string(feature) + ", of " +
                  std::to_string(features) + ", or holds it again");
      place[static_cast<size_t>(feature)] = at++;
    }
  }
  for (size_t t = 0; t < sets.size(); ++t) {
    parts[t].index = sets[t];
    parts[t].select = make_connectivity(features, static_cast<int64_t>(sets[t].size()), 1, sets[t]);
  }
  restore = make_connectivity(features, features, 1, place);
}

Tensor MixedActivation::operator()(const Tensor& z, std::optional<DType> y_dtype) const {
  return along(z, feature_dim, [&](const Tensor& t) {
    require(t.dim(-1) == features, "axis " + std::to_string(feature_dim) + " of " +
                                       z.shape().str() + " needs " + std::to_string(features) +
                                       " features");
    const Tensor rows = reshape(t, {t.numel() / features, features});
    std::vector<Tensor> outputs;
    for (const Part& part : parts) outputs.push_back((*part.act)(pick(rows, part.select), y_dtype));
    return reshape(pick(concat(outputs, -1), restore), t.shape());
  });
}

void MixedActivation::members(const std::string& prefix, Members& out) {
  out.push_back({.name = prefix, .mixed = this});
  for (Part& part : parts)
    part.act->members(prefix + "acts." + std::string(name(part.kind)) + ".", out);
}

}  // namespace sinew
