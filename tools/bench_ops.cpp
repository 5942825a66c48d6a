// Ops of ops.h that take single elements: elementwise, reductions, and those that only move them.
#include "bench_op.h"
#include "sinew/ops.h"

namespace sinew::tools {
namespace {

class Elementwise : public OpCases {
 public:
  using OpCases::OpCases;

  void all() {
    unary();
    binary();
    reductions();
    layout();
  }

 private:
  void unary() {
    using F = Tensor (*)(const Tensor&);
    const auto one = [&](const char* name, F f, PerElement operations, double low = -1,
                         Saves saves = Saves::inputs) {
      add({name, blocks(1, low), 1, [f](const Tensors& x) { return f(x[0]); }, operations, saves});
    };
    one("neg", neg, {1, 1}, -1, Saves::nothing);
    one("abs", abs, {1, 2});
    one("exp", exp, {1, 1});
    one("log", log, {1, 1}, 0.1);
    one("sqrt", sqrt, {1, 2}, 0.1);
    one("square", square, {1, 2});
    one("sin", sin, {1, 2});
    one("cos", cos, {1, 3});
    one("tanh", tanh, count::tanh);
    one("relu", relu, count::relu);
    one("gelu", gelu, count::gelu);
    one("sigmoid", sigmoid, {3, 3});
    one("softplus", softplus, {3, 4});
    const auto affined = [](const Tensors& x) { return affine(x[0], 2, 1); };
    add({"affine", blocks(1), 1, affined, {2, 1}, Saves::nothing});
    add({"pow_number", blocks(1, 0.1), 1, [](const Tensors& x) { return pow(x[0], 1.5); }, {1, 3}});
    add({"clamp", blocks(1), 1, [](const Tensors& x) { return clamp(x[0], -0.5, 0.5); }, {2, 3}});
  }

  void binary() {
    using F = Tensor (*)(const Tensor&, const Tensor&);
    const auto two = [&](const char* name, F f, PerElement operations, size_t wrt = 2,
                         Saves saves = Saves::inputs) {
      const auto call = [f](const Tensors& x) { return f(x[0], x[1]); };
      add({name, blocks(2, 0.1), wrt, call, operations, saves});
    };
    two("add", add_op, {1, 0}, 2, Saves::nothing);
    two("sub", sub, {1, 1}, 2, Saves::nothing);
    two("mul", mul, {1, 2});
    two("div", div, {1, 4});
    two("pow", pow, {1, 6});
    two("minimum", minimum, {1, 4});
    two("maximum", maximum, {1, 4});
    two("less", less, count::linear, 0);
    two("equal", equal, count::linear, 0);
    const auto call = [](const Tensors& x) { return mul(x[0], x[1]); };
    add({"mul_vector", with_vectors(1), 2, call, {1, 3}});
    const auto where_inputs = [in = blocks(2)] {
      Tensors x = in();
      x.push_back(cast(affine(x[0], 1, 1), DType::u8));  // 0 or 1
      return x;
    };
    add({"where",
         where_inputs,
         2,
         [](const Tensors& x) { return where(x[2], x[0], x[1]); },
         {1, 2}});
    add({"cast_bf16", blocks(1), 0, [](const Tensors& x) { return cast(x[0], DType::bf16); },
         count::linear});
  }
  static Tensor add_op(const Tensor& a, const Tensor& b) { return sinew::add(a, b); }

  void reductions() {
    const auto over = [&](const char* name, std::function<Tensor(const Tensor&)> f,
                          PerElement operations, Saves saves, size_t wrt = 1) {
      add({name, blocks(1), wrt, [f](const Tensors& x) { return f(x[0]); }, operations, saves});
    };
    using T = const Tensor&;
    over(
        "sum", [](T x) { return sum(x); }, count::linear, Saves::nothing);
    over(
        "sum_rows", [](T x) { return sum(x, {0}); }, count::linear, Saves::nothing);
    over(
        "sum_columns", [](T x) { return sum(x, {1}); }, count::linear, Saves::nothing);
    over(
        "mean", [](T x) { return mean(x); }, count::linear, Saves::nothing);
    over(
        "max_columns", [](T x) { return max(x, {1}); }, {1, 3}, Saves::inputs);
    over(
        "min_rows", [](T x) { return min(x, {0}); }, {1, 3}, Saves::inputs);
    over(
        "argmax", [](T x) { return argmax(x); }, count::linear, Saves::nothing, 0);
    const Shape row{block()[1]}, whole = block();
    over(
        "sum_to", [row](T x) { return sum_to(x, row); }, count::linear, Saves::nothing);
    const auto vector = [row, dtype = precision_.activations] {
      return Tensors{random_tensor(row, dtype)};
    };
    const auto rows = static_cast<double>(whole[0]);
    add({"broadcast_to",
         vector,
         1,
         [whole](const Tensors& x) { return broadcast_to(x[0], whole); },
         {0, rows},
         Saves::nothing});
  }

  void layout() {
    const auto moved = [&](const char* name, std::function<Tensor(const Tensors&)> f, Inputs in) {
      add({name, in, 1, f, count::copy, Saves::nothing});
    };
    const int64_t half = block()[1] / 2, rows = block()[0];
    moved(
        "permute",
        [](const Tensors& x) {
          return permute(x[0], {1, 0});
        },
        blocks(1));
    moved(
        "slice", [half](const Tensors& x) { return slice(x[0], 1, 0, half); }, blocks(1));
    add({"concat", blocks(2), 2, [](const Tensors& x) { return concat(x, 1); }, count::copy,
         Saves::nothing});
    const auto indexed = [in = blocks(1), rows] {
      std::vector<int32_t> index;
      for (int64_t i = 0; i < rows; ++i) index.push_back(static_cast<int32_t>(i * 7919 % rows));
      Tensors x = in();
      x.push_back(Tensor::from(index, {rows}));
      return x;
    };
    moved(
        "gather", [](const Tensors& x) { return gather(x[0], x[1]); }, indexed);
    add({"scatter_add", indexed, 1,
         [rows](const Tensors& x) { return scatter_add(x[0], x[1], rows); }, count::linear,
         Saves::nothing});
  }
};

}  // namespace

void add_elementwise(Cases& out, Precision precision, Sizes sizes) {
  Elementwise(out, precision, sizes).all();
}

}  // namespace sinew::tools
