// A geo-sparse sine network learns a picture: from the coordinates of a pixel to its colour.
//
// The coordinates (u, v) in [0, 1] are spread over the network's 8 x 8 grid: cell (i, j) holds
// cos(pi i v / 2) cos(pi j u / 2), so that neighbours on the grid are neighbours in frequency. Sums
// of these alone have no sharp edges; the sine layers find the higher frequencies. The result is a
// function of the coordinates and can be drawn at any size: the PNG shows the picture, the fit at
// its pixels, and the fit at four times as many in each direction.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "sinew/error.h"
#include "sinew/nn.h"
#include "sinew/train.h"

using namespace sinew;

namespace {

constexpr int64_t grid = 8, size = 64, zoom = 4;  // of the network, the picture, the PNG
constexpr double pi = 3.14159265358979323846;

using Colour = std::array<double, 3>;

Colour blend(const Colour& a, const Colour& b, double t) {
  return {a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t};
}

// Sunset behind two ridges, with a lake in front. u to the right and v down, both in [0, 1].
Colour scene(double u, double v) {
  const double far = 0.5 - 0.10 * std::sin(5 * u + 0.6) - 0.035 * std::sin(17 * u);
  const double near = 0.64 - 0.13 * std::sin(3.4 * u + 3.6) - 0.02 * std::sin(23 * u + 1);
  if (v > 0.76) {  // the lake
    const double glitter = std::exp(-std::pow((u - 0.62) / (0.05 + 0.5 * (v - 0.76)), 2));
    const double waves = 0.5 + 0.5 * std::sin(70 * std::sqrt(v - 0.74) + 3 * std::sin(5 * u));
    return blend(blend({0.10, 0.16, 0.33}, {0.30, 0.27, 0.47}, waves), {1.0, 0.70, 0.40},
                 0.85 * glitter * waves);
  }
  if (v > near) return {0.09, 0.10, 0.20};
  if (v > far) return blend({0.36, 0.22, 0.42}, {0.20, 0.17, 0.34}, (v - far) / 0.3);
  const double distance = std::hypot(u - 0.62, v - 0.30);
  if (distance < 0.13) return blend({1.0, 0.95, 0.70}, {1.0, 0.80, 0.42}, distance / 0.13);
  const Colour sky = blend({0.16, 0.20, 0.48}, {0.99, 0.58, 0.38}, std::min(1.0, v / 0.52));
  return blend(sky, {1.0, 0.78, 0.50}, 0.6 * std::exp(-(distance - 0.13) / 0.10));
}

// The picture, values 0 to 1, (size * size, 3): each pixel is the mean of 4 x 4 points.
std::vector<float> draw() {
  std::vector<float> pixels;
  for (int64_t row = 0; row < size; ++row)
    for (int64_t column = 0; column < size; ++column) {
      Colour total = {0, 0, 0};
      for (int i = 0; i < 16; ++i) {
        const Colour c =
            scene((column + (i % 4 + 0.5) / 4) / size, (row + (i / 4 + 0.5) / 4) / size);
        total = {total[0] + c[0], total[1] + c[1], total[2] + c[2]};
      }
      for (double value : total) pixels.push_back(static_cast<float>(value / 16));
    }
  return pixels;
}

// The network's input at the middles of n x n pixels: (n * n, grid * grid).
Tensor coordinate_features(int64_t n) {
  std::vector<float> values;
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < n; ++column)
      for (int64_t i = 0; i < grid; ++i)
        for (int64_t j = 0; j < grid; ++j)
          values.push_back(static_cast<float>(std::cos(pi / 2 * i * (row + 0.5) / n) *
                                              std::cos(pi / 2 * j * (column + 0.5) / n)));
  return Tensor::from(values, {n * n, grid * grid});
}

// Peak signal to noise ratio in dB of values whose largest is 1.
double psnr(const Tensor& fit, const Tensor& target) {
  return -10 * std::log10(mse(clamp(fit, 0, 1), target).value());
}

// Copies an n x n picture into a square of the PNG, `panel` squares from the left.
void place(std::vector<uint8_t>& png, const Tensor& picture, int64_t n, int64_t panel) {
  constexpr int64_t side = size * zoom, gap = 8, width = 3 * side + 2 * gap;
  const std::vector<float> values = affine(clamp(picture, 0, 1), 255, 0.5).host<float>();
  png.resize(static_cast<size_t>(side * width * 3), 255);
  for (int64_t row = 0; row < side; ++row)
    for (int64_t column = 0; column < side; ++column)
      for (int64_t c = 0; c < 3; ++c)
        png[static_cast<size_t>((row * width + panel * (side + gap) + column) * 3 + c)] =
            static_cast<uint8_t>(
                values[static_cast<size_t>((row * n / side * n + column * n / side) * 3 + c)]);
}

void write_png(const std::string& path, const Tensor& target, const Tensor& fit,
               const Tensor& fine) {
  std::vector<uint8_t> png;
  place(png, target, size, 0);
  place(png, fit, size, 1);
  place(png, fine, size * zoom, 2);
  const int height = size * zoom, width = static_cast<int>(png.size()) / (3 * height);
  if (!stbi_write_png(path.c_str(), width, height, 3, png.data(), 3 * width))
    throw Error("image_fit: cannot write " + path);
}

void run(const std::string& out, int epochs) {
  TorchGenerator generator(0);
  NetworkConfig config;
  config.connectivity.shape = {grid, grid};
  config.connectivity.k = 9;  // the cell itself and its nearest neighbours, no one twice
  config.connectivity.offset_order = OffsetOrder::distance;
  config.connectivity.distinct = true;
  config.depth = 4;
  config.output_dim = 3;
  GeoSparseNet net(config, generator);
  const Tensor x = coordinate_features(size), target = Tensor::from(draw(), {size * size, 3});
  const Tensor fine = coordinate_features(size * zoom);
  write_png(out, target, net(x), net(fine));  // what cannot be written is noticed before the work
  std::printf("Fitting %lld x %lld pixels with %lld parameters\n", static_cast<long long>(size),
              static_cast<long long>(size), static_cast<long long>(net.parameter_count()));
  TrainOptions options{.epochs = epochs, .batch_size = 256, .optimizer = OptimizerKind::adam};
  options.schedule = {.curve = Curve::cosine, .lr = 2e-2, .warmup_steps = 50};
  Trainer trainer(net, {x, target}, options, generator);
  const auto start = std::chrono::steady_clock::now();
  fit(trainer, {.after_epoch = [&](const Trainer& t) {
        const int64_t epoch = t.history().back().epoch;
        if (epochs < 10 || epoch % (epochs / 10) == 0)
          std::printf("epoch %4lld of %d: %5.2f dB\n", static_cast<long long>(epoch), epochs,
                      psnr(net(x), target));
      }});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  write_png(out, target, net(x), net(fine));
  std::printf("PSNR %.2f dB after %.1f s; wrote %s (picture | fit | fit on finer coordinates)\n",
              psnr(net(x), target), seconds.count(), out.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::string out = "image_fit.png";
  int epochs = 300, cpu_threads = 1;
  CLI::App app{"A geo-sparse sine network fits a picture"};
  app.add_option("--out", out, "PNG to write")->capture_default_str();
  app.add_option("--epochs", epochs, "passes over the pixels")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", cpu_threads, "CPU threads; a network this small needs one only")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    set_threads(cpu_threads);
    run(out, epochs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
