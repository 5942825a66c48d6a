// Regression in the manner of scikit-learn: Friedman #1 (Ann. Stat. 19, 1991), ten inputs of which
// five count, y = 10 sin(pi a b) + 20 (c - 1/2)^2 + 10 d + 5 e + noise of deviation 1.
#include <cmath>
#include <cstdio>

#include "sinew/estimator.h"

using namespace sinew;

int main(int argc, char**) {
  if (argc > 1) {
    std::fputs("regressor takes no arguments\n", stderr);
    return 2;
  }
  constexpr int64_t rows = 2000, training = 1500;
  NumpyGenerator generator(0);
  std::vector<float> inputs(rows * 10), targets;
  for (float& v : inputs) v = static_cast<float>(generator.uniform());
  for (const float* v = inputs.data(); v != inputs.data() + inputs.size(); v += 10)
    targets.push_back(static_cast<float>(10 * std::sin(3.14159265 * v[0] * v[1]) +
                                         20 * std::pow(v[2] - 0.5, 2) + 10 * v[3] + 5 * v[4] +
                                         generator.normal()));
  const Tensor x = Tensor::from(inputs, {rows, 10}), y = Tensor::from(targets, {rows});

  EstimatorOptions options;
  options.network.connectivity.shape = {2, 5};
  options.train.epochs = 50;
  options.train.schedule.lr = 1e-2;
  options.scale_x = options.scale_y = Scaling::standard;
  GeoSparseRegressor regressor(options);
  regressor.fit(x.rows(0, training), y.rows(0, training));
  std::printf("R^2 on held-out rows: %.3f\n", regressor.score(x.rows(training, rows - training),
                                                              y.rows(training, rows - training)));
}
