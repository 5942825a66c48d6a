// Ops that layers are made of: products, norms, sine, random masks, losses, the sparse layer.
#include "bench_op.h"
#include "sinew/device.h"
#include "sinew/geo.h"
#include "sinew/ops.h"

namespace sinew::tools {
namespace {

class Layers : public OpCases {
 public:
  using OpCases::OpCases;

  void all() {
    products();
    rows_of_features();
    losses();
    sparse();
    blocks_in_one();
  }

 private:
  void products() {
    struct Product {
      const char* name;
      Shape a, b;
      Trans trans_b;
    };
    const std::vector<Product> all =
        full_
            ? std::vector<Product>{{"matmul-1024", {1024, 1024}, {1024, 1024}, Trans::no},
                                   {"matmul-8192x256-256x256", {8192, 256}, {256, 256}, Trans::no},
                                   {"linear-8192-256-256", {8192, 256}, {256, 256}, Trans::yes},
                                   {"linear-1024-4096-1", {1024, 4096}, {1, 4096}, Trans::yes}}
            : std::vector<Product>{{"matmul-8", {8, 8}, {8, 8}, Trans::no},
                                   {"linear-8-4-2", {8, 4}, {2, 4}, Trans::yes}};
    for (const Product& product : all) {
      const int64_t n = product.trans_b == Trans::yes ? product.b[0] : product.b[1];
      const auto inputs = [product, n, p = precision_] {
        Tensors x{random_tensor(product.a, p.activations), random_tensor(product.b, p.parameters)};
        if (product.trans_b == Trans::yes) x.push_back(random_tensor({n}, p.parameters));
        return x;
      };
      const auto call = [t = product.trans_b](const Tensors& x) {
        return matmul(x[0], x[1], Trans::no, t, x.size() > 2 ? x[2] : Tensor());
      };
      const size_t wrt = product.trans_b == Trans::yes ? 3 : 2;
      add({product.name, inputs, wrt, call, count::matmul(static_cast<double>(n))});
    }
  }

  void rows_of_features() {
    add({"softmax", blocks(1), 1, [](const Tensors& x) { return softmax(x[0]); }, count::softmax});
    add({"log_softmax", blocks(1), 1, [](const Tensors& x) { return log_softmax(x[0]); },
         count::log_softmax});
    add({"rms_norm", with_vectors(1), 2, [](const Tensors& x) { return rms_norm(x[0], x[1]); },
         count::rms_norm});
    add({"layer_norm", with_vectors(2), 3,
         [](const Tensors& x) { return layer_norm(x[0], x[1], x[2]); }, count::layer_norm});
    for (const Decay decay : {Decay::abs, Decay::relu, Decay::none}) {
      const char* names[] = {"sine", "sine_decay_relu", "sine_decay_none"};
      SineOptions options;
      options.decay = decay;
      add({names[static_cast<int>(decay)], with_vectors(3), 4,
           [options](const Tensors& x) { return sine(x[0], x[1], x[2], x[3], {}, options); },
           count::sine});
    }
    add({"sine_phase", with_vectors(4), 5,
         [](const Tensors& x) { return sine(x[0], x[1], x[2], x[3], x[4]); }, count::phase_sine});
    add({"dropout",
         blocks(1),
         1,
         [](const Tensors& x) { return dropout(x[0], 0.1); },
         {1, 1},
         Saves::nothing});
    add({"drop_path",
         blocks(1),
         1,
         [](const Tensors& x) { return drop_path(x[0], 0.1); },
         {1, 1},
         Saves::nothing});
  }

  void losses() {
    using F = Tensor (*)(const Tensor&, const Tensor&);
    const auto loss = [&](const char* name, F f, PerElement operations) {
      const auto call = [f](const Tensors& x) { return f(x[0], affine(x[1], -1, 0)); };
      add({name, blocks(2), 1, call, operations});
    };
    loss("mse", mse, count::square_error);
    loss("l1", l1, {3, 2});
    loss(
        "smooth_l1", [](const Tensor& p, const Tensor& t) { return smooth_l1(p, t); },
        count::robust_error);
    loss(
        "huber", [](const Tensor& p, const Tensor& t) { return huber(p, t, 0.5); },
        count::robust_error);
    const auto labelled = [in = blocks(1)] {
      Tensors x = in();
      std::vector<int32_t> labels;
      for (int64_t i = 0; i < x[0].dim(0); ++i)
        labels.push_back(static_cast<int32_t>(i % x[0].dim(1)));
      x.push_back(Tensor::from(labels, {x[0].dim(0)}));
      return x;
    };
    add({"cross_entropy", labelled, 1, [](const Tensors& x) { return cross_entropy(x[0], x[1]); },
         count::cross_entropy});
  }

  void sparse() {
    struct Layer {
      int64_t side, k, batch;
      Pattern pattern;
    };
    const std::vector<Layer> all =
        full_ ? std::vector<Layer>{{16, 8, 256, Pattern::local},
                                   {16, 32, 256, Pattern::local},
                                   {64, 8, 1024, Pattern::local},
                                   {64, 8, 8192, Pattern::local},
                                   {64, 8, 8192, Pattern::random}}
              : std::vector<Layer>{{4, 3, 2, Pattern::local}, {4, 3, 2, Pattern::random}};
    for (const Layer& layer : all) {
      const bool local = layer.pattern == Pattern::local;
      const std::string side = std::to_string(layer.side);
      const std::string name = "geo_linear-" + side + "x" + side + "-k" + std::to_string(layer.k) +
                               "-b" + std::to_string(layer.batch) + (local ? "" : "-random");
      // Random inputs come from the whole grid.
      const ConnectivityOptions options{.shape = {layer.side, layer.side},
                                        .k = layer.k,
                                        .pattern = layer.pattern,
                                        .radius = local ? 1 : layer.side / 2,
                                        .seed = 0};
      const auto table = std::make_shared<SharedConnectivity>();
      const auto inputs = [=, p = precision_] {
        *table = make_connectivity(options);
        const int64_t n = layer.side * layer.side;
        return Tensors{random_tensor({layer.batch, n}, p.activations),
                       random_tensor({n, layer.k}, p.parameters), random_tensor({n}, p.parameters),
                       Tensor::from((*table)->table, {n, layer.k})};  // counted, not used
      };
      const auto call = [table](const Tensors& x) { return geo_linear(x[0], x[1], x[2], *table); };
      const PerElement operations = count::geo_linear(static_cast<double>(layer.k));
      const double of_weights = operations.backward - operations.input;
      add({name,
           inputs,
           3,
           call,
           operations,
           Saves::inputs,
           {{"input_gradient", 0, {1, 3}, operations.input},
            {"weight_gradient", 1, {0, 3}, of_weights}}});
    }
  }

  // Blocks with rms_norm and sine, all of one table.
  void blocks_in_one() {
    struct Stack {
      int64_t side, depth, k, batch;
    };
    const std::vector<Stack> all = full_ ? std::vector<Stack>{{16, 8, 8, 256}, {64, 8, 8, 1024}}
                                         : std::vector<Stack>{{4, 2, 3, 2}};
    for (const Stack& s : all) {
      const std::string side = std::to_string(s.side);
      const std::string name = "geo_blocks-" + side + "x" + side + "-d" + std::to_string(s.depth) +
                               "-k" + std::to_string(s.k) + "-b" + std::to_string(s.batch);
      const auto table = std::make_shared<SharedConnectivity>();
      const auto inputs = [=, p = precision_] {
        *table = make_connectivity({.shape = {s.side, s.side}, .k = s.k});
        const int64_t n = s.side * s.side;
        Tensors out{random_tensor({s.batch, n}, p.activations)};
        for (int64_t i = 0; i < s.depth; ++i)
          for (const Shape& shape : block_shapes(n, s.k))
            out.push_back(random_tensor(shape, p.parameters, 0.1));
        out.push_back(Tensor::from((*table)->table, {n, s.k}));  // counted, not used
        return out;
      };
      const auto call = [table](const Tensors& x) {
        std::vector<GeoBlockOperands> blocks;
        for (size_t i = 1; i + 1 < x.size(); i += per_block)
          blocks.push_back(block_of(&x[i], *table));
        return geo_blocks(x[0], blocks);
      };
      const auto depth = static_cast<double>(s.depth), k = static_cast<double>(s.k);
      add({name, inputs, 1 + static_cast<size_t>(s.depth) * per_block, call,
           count::geo_blocks(depth, k)});
    }
  }
  static constexpr size_t per_block = 9;
  static std::vector<Shape> block_shapes(int64_t n, int64_t k) {
    return {{1}, {n}, {n, k}, {n}, {n, k}, {n}, {n}, {n}, {n}};
  }
  static GeoBlockOperands block_of(const Tensor* t, const SharedConnectivity& table) {
    GeoBlockOperands b;
    b.alpha = t[0];
    b.scale = t[1];
    b.weight1 = t[2];
    b.bias1 = t[3];
    b.weight2 = t[4];
    b.bias2 = t[5];
    b.amplitude = t[6];
    b.frequency = t[7];
    b.decay = t[8];
    b.table = table;
    return b;
  }
};

}  // namespace

void add_layers(Cases& out, Precision precision, Sizes sizes) {
  Layers(out, precision, sizes).all();
}

}  // namespace sinew::tools
