// Eigen's worker for run.py: the sparse layer as a product with a row-major SparseMatrix, timed as
// bench_worker.py says. y = A x + b; gradient: y, dx = A^T dy, dA at the entries of A, db.
//
// Forms: x and y are features x batch with a feature's rows of the batch side by side (columns), or
// batch x features as a network has them (rows). `eigen_sparse --fma` prints GFLOP/s of one core
// in fused multiply-adds on registers. Compiled by run.py, no part of the build.
#include <Eigen/SparseCore>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;
using Vector = Eigen::VectorXf;

// The cell's 3 x 3 window, clamped at the borders; an input that occurs twice is one entry.
Sparse local(int height, int width, int k) {
  std::vector<Eigen::Triplet<float>> entries;
  for (int out = 0; out < height * width; ++out)
    for (int j = 0; j < k; ++j) {
      const int row = std::clamp(out / width + j % 9 / 3 - 1, 0, height - 1);
      const int column = std::clamp(out % width + j % 3 - 1, 0, width - 1);
      entries.emplace_back(out, row * width + column, static_cast<float>(std::rand()) / RAND_MAX);
    }
  Sparse a(height * width, height * width);
  a.setFromTriplets(entries.begin(), entries.end());
  return a;
}

// One layer. Dense is a matrix of features x batch in either order of storage.
template <int order>
struct Layer {
  using Dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, order>;
  Layer(int height, int width, int k, int batch)
      : a(local(height, width, k)),
        da(a),
        bias(Vector::Random(a.rows())),
        x(Dense::Random(a.rows(), batch)),
        dy(Dense::Random(a.rows(), batch)) {}

  void forward() {
    y.noalias() = a * x;
    y.colwise() += bias;
  }
  void gradient() {
    forward();
    transposed = a.transpose();  // a row-major copy: the product with it has threads
    dx.noalias() = transposed * dy;
    db = dy.rowwise().sum();
#pragma omp parallel for
    for (Eigen::Index row = 0; row < a.rows(); ++row)
      for (Sparse::InnerIterator entry(da, row); entry; ++entry)
        entry.valueRef() = dy.row(row).dot(x.row(entry.index()));
  }
  // Largest difference from plain loops, of y, dx and da.
  double error() {
    gradient();
    Dense sum = Dense::Zero(x.rows(), x.cols()), back = sum;
    double worst = 0;
    for (Eigen::Index row = 0; row < a.rows(); ++row) {
      Sparse::InnerIterator slope(da, row);
      for (Sparse::InnerIterator entry(a, row); entry; ++entry, ++slope) {
        double product = 0;
        for (Eigen::Index b = 0; b < x.cols(); ++b) {
          sum(row, b) += entry.value() * x(entry.index(), b);
          back(entry.index(), b) += entry.value() * dy(row, b);
          product += dy(row, b) * x(entry.index(), b);
        }
        worst = std::max(worst, std::abs(product - slope.value()));
      }
      for (Eigen::Index b = 0; b < x.cols(); ++b)
        worst = std::max<double>(worst, std::abs(sum(row, b) + bias(row) - y(row, b)));
    }
    return std::max<double>(worst, (back - dx).cwiseAbs().maxCoeff());
  }

  Sparse a, da, transposed;
  Vector bias, db;
  Dense x, dy, y, dx;
};

struct Case {
  std::string key;
  std::function<void()> call;
  double once = 0;
};

double seconds_of(const std::function<void()>& call, int calls) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
}

// A random sum of the batch's products has an error of some f32 roundings of its terms, below 1.
constexpr double allowed = 1e-3;

template <int order>
bool add(std::vector<Case>& cases, const std::string& name, const char* form) {
  int height = 0, width = 0, k = 0, batch = 0;
  char part[9] = "";
  if (std::sscanf(name.c_str(), "op/geo_linear-%dx%d-k%d-b%d/%8s", &height, &width, &k, &batch,
                  part) != 5)
    return false;
  const auto layer = std::make_shared<Layer<order>>(height, width, k, batch);
  if (layer->error() > allowed) return false;
  if (part[0] == 'f')
    cases.push_back({name + " " + form, [layer] { layer->forward(); }});
  else
    cases.push_back({name + " " + form, [layer] { layer->gradient(); }});
  return true;
}

void one_round(const std::vector<Case>& cases, double seconds) {
  std::string line = "{";
  for (const Case& c : cases) {
    const int calls = std::max(1, static_cast<int>(seconds / c.once));
    if (calls > 1) c.call();
    line += (line.size() > 1 ? ", \"" : "\"") + c.key +
            "\": " + std::to_string(1000 * seconds_of(c.call, calls));
  }
  std::cout << line << "}" << std::endl;
}

#ifdef __AVX512F__
using Lanes = float __attribute__((vector_size(64)));
#else
using Lanes = float __attribute__((vector_size(32)));
#endif

// Ten chains of multiply-adds, enough to hide their latency.
constexpr int chains = 10, links = 2000000;
float chain(float start) {
  Lanes sum[chains];
  const Lanes factor = Lanes{} + start;
  for (Lanes& s : sum) s = factor;
  for (int i = 0; i < links; ++i) {
#pragma GCC unroll 10
    for (int j = 0; j < chains; ++j) sum[j] = sum[j] * factor + factor;
  }
  float out = 0;
  for (const Lanes& s : sum) out += s[0];
  return out;
}

// GFLOP/s, the best of some spells.
double fma_rate() {
  volatile float keep = 0.999f;
  double best = 0;
  for (int spell = 0; spell < 20; ++spell) {
    const double seconds = seconds_of([&] { keep = chain(keep > 0 ? 0.999f : 0.99f); }, 1);
    best = std::max(best, 2.0 * links * chains * sizeof(Lanes) / sizeof(float) / seconds);
  }
  return best / 1e9;
}

}  // namespace

// eigen_sparse SECONDS CASE... with the names of `sinew bench`
int main(int count, char** words) {
  if (count == 2 && std::string(words[1]) == "--fma") {
    std::cout << fma_rate() << std::endl;
    return 0;
  }
  if (count < 2) return 1;
  std::vector<Case> cases;
  std::string skipped;
  for (int i = 2; i < count; ++i)
    for (const bool columns : {true, false}) {
      const std::string name = words[i];
      if (columns ? add<Eigen::RowMajor>(cases, name, "columns")
                  : add<Eigen::ColMajor>(cases, name, "rows"))
        continue;
      skipped += (skipped.empty() ? "\"" : ", \"") + name + (columns ? " columns" : " rows") +
                 "\": \"not known here, or its result is wrong\"";
    }
  for (Case& c : cases) {
    c.call();
    c.once = seconds_of(c.call, 1);
  }
  std::cout << "{\"ready\": true, \"eigen\": \"" << EIGEN_WORLD_VERSION << "."
            << EIGEN_MAJOR_VERSION << "." << EIGEN_MINOR_VERSION << "\", \"skipped\": {" << skipped
            << "}}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) one_round(cases, std::atof(words[1]));
}
