// The sparse layer on the GPU: every layout, type and order of derivative against the CPU in f64.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "cuda/any_order.h"
#include "cuda/parity.h"
#include "geo/geo_linear.h"
#include "sinew/error.h"
#include "sinew/geo.h"
#include "sinew/ops.h"
#include "sinew/step.h"
#include "sinew/tape.h"

using namespace sinew;
using namespace sinew::test;

namespace {

enum class Phase : uint8_t { as_x, f32 };  // the type of y

SharedConnectivity grid(int64_t h, int64_t w, int64_t k, Pattern pattern,
                        WrapMode wrap = WrapMode::clamp) {
  ConnectivityOptions options;
  options.shape = {h, w};
  options.k = k;
  options.pattern = pattern;
  options.seed = 3;
  options.wrap_mode = wrap;
  return make_connectivity(options);
}

// Output o reads sources f(o, j).
template <class F>
SharedConnectivity table(int64_t n_in, int64_t n_out, int64_t k, const F& f) {
  std::vector<int32_t> entries;
  for (int64_t o = 0; o < n_out; ++o)
    for (int64_t j = 0; j < k; ++j) entries.push_back(static_cast<int32_t>(f(o, j)));
  return make_connectivity(n_in, n_out, k, entries);
}
SharedConnectivity anywhere(int64_t n_in, int64_t n_out, int64_t k) {
  TorchGenerator generator(7);
  return table(n_in, n_out, k, [&](int64_t, int64_t) { return generator.below(n_in); });
}

GeoLayout layout(const SharedConnectivity& c, GeoDirection direction) {
  const OnDevice cuda(Device::cuda);
  return geo_tables_on_gpu(*c, direction).layout;
}

std::optional<DType> y_type(Phase phase) {  // the CPU computes in f64
  if (phase == Phase::as_x || device() == Device::cpu) return {};
  return DType::f32;
}

int64_t longest_sum(const Connectivity& c, int64_t rows) {
  int64_t most = std::max(c.k, rows);
  for (size_t i = 0; i + 1 < c.reverse_start.size(); ++i)
    most = std::max<int64_t>(most, c.reverse_start[i + 1] - c.reverse_start[i]);
  return most;
}

void check_first(const std::string& name, const SharedConnectivity& c, const Shape& x,
                 Phase phase = Phase::as_x) {
  Parity p;
  p.inputs = {{x}, {{c->n_out, c->k}, Role::parameter}, {{c->n_out}, Role::parameter}};
  p.length = longest_sum(*c, x.numel() / c->n_in);
  p.f = [=](const std::vector<Tensor>& in) {
    return geo_linear(in[0], in[1], in[2], c, y_type(phase));
  };
  check_parity(name + " " + x.str(), p);
}

// dx, dw and db as functions of x, w and the cotangent, and their gradients.
void check_second(const std::string& name, const SharedConnectivity& c, int64_t rows,
                  Phase phase = Phase::as_x) {
  Parity p;
  p.inputs = {{{rows, c->n_in}}, {{c->n_out, c->k}, Role::parameter}, {{rows, c->n_out}}};
  p.length = longest_sum(*c, rows);
  for (const size_t which : {0, 1, 2}) {
    p.f = [=](const std::vector<Tensor>& in) {
      Tensor bias = Tensor::zeros({c->n_out}, in[1].dtype());
      Tape::active()->watch(bias);
      const Tensor y = geo_linear(in[0], in[1], bias, c, y_type(phase));
      GradientOptions options;
      options.cotangent = cast(in[2], y.dtype());
      options.create_graph = true;
      return Tape::active()->gradients(y, {in[0], in[1], bias}, options)[which];
    };
    check_parity(name + ", gradient of d" + "xwb"[which], p);
  }
}

std::string error(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

Tensor drawn(const Shape& shape, uint32_t seed, DType dtype = DType::f32) {
  TorchGenerator generator(seed);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = generator.uniform(-1, 1);
  return cast(Tensor::from(values, shape), dtype);
}

}  // namespace

TEST_CASE("cuda geo_linear: layouts and sizes follow from the shapes") {
  CHECK(geo_chunk(4096, 8) == 512);
  CHECK(geo_chunk(4096, 1) == 512);
  CHECK(geo_chunk(4096, 32) == 128);
  CHECK(geo_chunk(4096, 5000) == 32);
  CHECK(geo_chunk(35, 8) == 64);
  CHECK(geo_chunk(1, 3) == 32);
  // 64 x 64, k 8, radius 1: 8 rows of the grid and one more on each side
  GeoSizes local{4096, 32768, 512, 642, 4096, 8 * 642, 32768};
  CHECK(geo_windows_shared(local) == 4096 * 8 + 642 * 32);
  CHECK(geo_layout(local) == GeoLayout::windows);
  CHECK(geo_stride(local) == 32);
  GeoSizes far = local;  // each chunk reads everything
  far.window = 4096;
  far.windows = 8 * 4096;
  CHECK(geo_layout(far) == GeoLayout::rows);
  CHECK(geo_stride(far) == 32);
  far.all_entries = 2 * far.edges + 1;
  CHECK(geo_stride(far) == 1);
  far.n_x = far.most_shared / 32;
  CHECK(geo_layout(far) == GeoLayout::rows);
  far.n_x += 1;
  CHECK(geo_layout(far) == GeoLayout::direct);
  GeoSizes many = local;  // more entries than an index counts
  many.all_entries = int64_t{1} << 31;
  CHECK(geo_layout(many) == GeoLayout::rows);
  CHECK(geo_stride(many) == 1);

  const auto slices = [](int64_t rows, int64_t n_out, int64_t k) {
    const GeoSlices s = geo_slices(rows, n_out, k);
    return std::vector<int64_t>{s.count, s.rows, s.groups, s.parts};
  };
  CHECK(slices(0, 10, 3) == std::vector<int64_t>{1, 0, 1, 1});
  CHECK(slices(8192, 4096, 8) == std::vector<int64_t>{64, 128, 1, 1});
  CHECK(slices(8192, 256, 8) == std::vector<int64_t>{128, 64, 1, 1});
  CHECK(slices(65, 10, 200) == std::vector<int64_t>{2, 48, 16, 2});
  CHECK(slices(1, 4096, 32) == std::vector<int64_t>{1, 16, 4, 1});
  CHECK(slices(100, int64_t{1} << 20, 8) == std::vector<int64_t>{1, 112, 1, 1});
}

TEST_CASE("cuda geo_linear: grids") {
  for (const int64_t k : {1, 3, 8, 32})
    for (const int64_t rows : {0, 1, 31, 33})
      check_first("local", grid(5, 7, k, Pattern::local), {rows, 35});
  check_first("hash", grid(3, 11, 8, Pattern::hash), {33, 33});
  check_first("wrap", grid(4, 8, 9, Pattern::local, WrapMode::wrap), {2, 3, 32});
  check_first("one cell", grid(1, 1, 3, Pattern::local), {31, 1});
  check_first("31 cells", grid(31, 1, 8, Pattern::random), {5, 31});
  check_first("phase", grid(5, 7, 8, Pattern::local), {33, 35}, Phase::f32);
}

TEST_CASE("cuda geo_linear: windows of several chunks, round the end") {
  const auto c = table(4097, 4097, 3, [](int64_t o, int64_t j) { return (o + 60 * j) % 4097; });
  for (const GeoDirection d : {GeoDirection::forward, GeoDirection::reverse}) {
    const OnDevice cuda(Device::cuda);
    const GeoSide side = geo_tables_on_gpu(*c, d);
    CHECK(side.layout == GeoLayout::windows);
    CHECK(side.window == 512 + 120);
  }
  check_first("cyclic", c, {3, 4097});
  check_first("cyclic", c, {3, 4097}, Phase::f32);
}

TEST_CASE("cuda geo_linear: other sizes of inputs and outputs, repeated and unread inputs") {
  check_first("more outputs", anywhere(31, 70, 3), {9, 31});
  check_first("fewer outputs", anywhere(33, 5, 8), {17, 33});
  check_first("k 200", anywhere(31, 5, 200), {3, 31});
  check_first("slices", anywhere(6, 9, 3), {130, 6});
  check_first("several tiles in a block", anywhere(3, 2, 2), {70000, 3});
  check_first("repeated", table(4, 6, 3, [](int64_t o, int64_t) { return o / 2; }), {5, 4});
  check_first("one input", table(40, 33, 8, [](int64_t, int64_t) { return 39; }), {3, 40});
  check_first("unread", table(2000, 40, 3, [](int64_t o, int64_t) { return 2 * o; }), {2, 2000});
}

TEST_CASE("cuda geo_linear: tables that read from anywhere, whole rows and no tile") {
  const auto check = [](int64_t n_in, int64_t n_out, GeoLayout forward, GeoLayout reverse) {
    const auto c = anywhere(n_in, n_out, 3);
    CHECK(layout(c, GeoDirection::forward) == forward);
    CHECK(layout(c, GeoDirection::reverse) == reverse);
    for (const Phase phase : {Phase::as_x, Phase::f32})
      for (const int64_t rows : {0, 1, 18}) check_first("anywhere", c, {rows, n_in}, phase);
    check_second("anywhere", c, 2, Phase::f32);
  };
  check(4000, 40, GeoLayout::rows, GeoLayout::rows);
  check(40, 4000, GeoLayout::windows, GeoLayout::rows);
  check(8000, 40, GeoLayout::direct, GeoLayout::rows);
  check(40, 8000, GeoLayout::windows, GeoLayout::direct);
  // Every output reads input 5 once more: side by side, its edges would fill half a million places.
  const auto hub = table(64, 8000, 2, [](int64_t o, int64_t j) { return j == 0 ? 5 : o % 64; });
  const OnDevice cuda(Device::cuda);
  CHECK(geo_tables_on_gpu(*hub, GeoDirection::reverse).stride == 1);
  set_device(Device::cpu);
  check_first("hub", hub, {2, 64});
}

TEST_CASE("cuda geo_linear: second order") {
  for (const Phase phase : {Phase::as_x, Phase::f32}) {
    check_second("local", grid(5, 7, 8, Pattern::local), 33, phase);
    check_second("fewer outputs, slices", anywhere(33, 5, 3), 130, phase);
  }
}

TEST_CASE("cuda geo_linear: the gradients have the types of what they are of") {
  const OnDevice cuda(Device::cuda);
  const auto c = grid(2, 3, 2, Pattern::local);
  for (const DType x_type : {DType::f32, DType::bf16})
    for (const DType y_type : {DType::f32, DType::bf16}) {
      Tape tape;
      Tensor leaf = drawn({4, 6}, 1), w = drawn({6, 2}, 2), bias = drawn({6}, 4);
      for (Tensor* t : {&leaf, &w, &bias}) tape.watch(*t);
      const Tensor x = cast(leaf, x_type), y = geo_linear(x, w, bias, c, y_type);
      CHECK(y.dtype() == y_type);
      GradientOptions options;
      options.cotangent = drawn({4, 6}, 3, y_type);
      const auto g = tape.gradients(y, {x, w, bias}, options);
      CHECK(g[0].dtype() == x_type);
      CHECK(g[1].dtype() == DType::f32);
      CHECK(g[2].dtype() == DType::f32);
    }
}

TEST_CASE("cuda geo_linear: the same bits in any order of threads") {
  const auto near = grid(6, 6, 9, Pattern::local), far = anywhere(4000, 40, 3);
  for (const auto& c : {near, far})
    for (const DType dtype : {DType::f32, DType::bf16})
      check_any_order([&] {
        Tape tape;
        Tensor leaf = drawn({c == far ? 2 : 150, c->n_in}, 1), w = drawn({c->n_out, c->k}, 2);
        Tensor bias = drawn({c->n_out}, 3);
        for (Tensor* t : {&leaf, &w, &bias}) tape.watch(*t);
        const Tensor y = geo_linear(cast(leaf, dtype), w, bias, c, DType::f32);
        GradientOptions options;
        options.cotangent = y.detach();
        std::vector<float> all = y.host<float>();
        for (const Tensor& t : tape.gradients(y, {leaf, w, bias}, options))
          for (const float v : t.host<float>()) all.push_back(v);
        return all;
      });
}

TEST_CASE("cuda geo_linear: a connectivity's tables are made once, by whoever comes first") {
  const auto c = grid(5, 5, 3, Pattern::hash);
  const auto y = [&] {
    return cast(geo_linear(drawn({3, 25}, 1), drawn({25, 3}, 2), {}, c), DType::f64).values();
  };
  const auto on_cpu = y();
  CHECK(c->on_gpu == nullptr);
  std::vector<std::vector<double>> got(2);
  std::vector<std::thread> threads;
  for (auto& one : got)
    threads.emplace_back([&] {
      const OnDevice cuda(Device::cuda);
      one = y();
    });
  for (auto& t : threads) t.join();
  CHECK(got[0] == got[1]);
  for (size_t i = 0; i < on_cpu.size(); ++i)
    CHECK(got[0][i] == doctest::Approx(on_cpu[i]).epsilon(1e-5));
  const auto tables = c->on_gpu;
  REQUIRE(tables != nullptr);
  const OnDevice cuda(Device::cuda);
  CHECK(y() == got[0]);
  CHECK(c->on_gpu == tables);
}

TEST_CASE("cuda geo_linear: in a step") {
  const OnDevice cuda(Device::cuda);
  auto c = grid(4, 4, 3, Pattern::local);
  const Tensor w = drawn({16, 3}, 2);
  Step step([&w, c](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{geo_linear(in[0], w, {}, c)};
  });
  const Tensor x = drawn({5, 16}, 1);
  const auto expected = geo_linear(x, w, {}, c).host<float>();
  c.reset();  // the step keeps the tables
  for (int call = 0; call < 4; ++call) CHECK(step({x})[0].host<float>() == expected);

  const SharedConnectivity first = grid(4, 4, 3, Pattern::hash),
                           later = grid(4, 4, 3, Pattern::hash);
  int calls = 0;
  Step late([&](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{geo_linear(in[0], w, {}, calls++ == 0 ? first : later)};
  });
  late({x});
  CHECK(error([&] { late({x}); }) ==
        "geo_linear: this connectivity's first use on cuda is in the recording of a step");
  CHECK(later->on_gpu == nullptr);
}

TEST_CASE("cuda geo_linear: the bias alone is a parameter") {
  for (const Shape& shape : {Shape({0, 5}), Shape({70, 5}), Shape({3, 11, 5})}) {
    const auto c = anywhere(5, 7, 3);
    Parity p;
    p.inputs = {{{c->n_out}, Role::parameter}, {shape.with(-1, 5)}};
    p.length = 70;
    p.f = [=](const std::vector<Tensor>& in) {
      const Tensor w = Tensor::full({c->n_out, c->k}, 0.5, in[0].dtype());
      return geo_linear(in[1].detach(), w, in[0], c);
    };
    check_parity("bias " + shape.str(), p);
  }
}

TEST_CASE("cuda geo_linear: errors") {
  const OnDevice cuda(Device::cuda);
  const auto c = grid(2, 2, 3, Pattern::local);
  const Tensor x({2, 4}), w({4, 3}), half({2, 4}, DType::bf16);
  CHECK(error([&] {
          geo_linear(Tensor({2, 4}, DType::f64), w, {}, c);
        }) == "geo_linear: needs f32 or bf16 on cuda (f64)");
  CHECK(error([&] {
          geo_linear(half, Tensor({4, 3}, DType::bf16), {}, c);
        }) == "geo_linear: a parameter is not f32 (bf16)");
  for (const DType type : {DType::f64, DType::i32})
    CHECK(error([&] { geo_linear(x, w, {}, c, type); }) ==
          std::string("geo_linear: y needs f32 or bf16 (") + name(type) + ")");
}
