#include <doctest/doctest.h>

#include <filesystem>

#include "nn/files.h"
#include "sinew/error.h"
#include "sinew/io.h"
#include "sinew/model.h"
#include "sinew/ops.h"

using namespace sinew;
using test::error_of;

namespace {

NetworkConfig mixed_config(std::optional<int64_t> seed) {
  NetworkConfig config = parse_network_config(
      R"({"shape": "3x4", "depth": 2, "k": 3, "output_dim": 2, "residual_alpha_init": 0.4,
          "pattern": "random", "activation_type": "mixed",
          "activation_config": {"activation_types": ["relu", "psann", "tanh"]}})");
  config.connectivity.seed = seed;
  return config;
}

Model make_model(const NetworkConfig& config) {
  Model model;
  model.config = config;
  TorchGenerator generator(4);
  model.net = make_network(config, generator);
  return model;
}

Tensor rows(int64_t count, int64_t columns) {
  std::vector<float> values;
  for (int64_t i = 0; i < count * columns; ++i)
    values.push_back(0.37f * static_cast<float>(i % 17) - 2);
  return Tensor::from(values, {count, columns});
}

// A saved model whose config.json is then changed.
struct Saved {
  test::Folder folder;
  Saved() {
    Model model = make_model(mixed_config(7));
    save_model(folder.path, model);
  }
  std::string load_with(const std::string& from, const std::string& to) const {
    std::string text = read_file(folder / "config.json");
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    write_file(folder / "config.json", text.replace(at, from.size(), to));
    const std::string start = folder.path + "/";
    const std::string error = error_of([&] { load_model(folder.path); });
    return error.rfind(start, 0) == 0 ? error.substr(start.size()) : error;
  }
};

}  // namespace

TEST_CASE("model: saved and loaded, it predicts the same bits") {
  for (const std::optional<int64_t> seed : {std::optional<int64_t>(3), {}}) {
    const test::Folder folder;
    Model model = make_model(mixed_config(seed));
    const Tensor x = rows(5, 12), y = rows(5, 2);
    model.x_scaler = standard_scaler(x);
    model.y_scaler = minmax_scaler(y);
    model.loss = {LossKind::huber, 1, 0.5};
    model.inputs = {"a", "with \"quotes\"", "ümlaut"};
    model.targets = {"y"};
    save_model(folder / "made/here", model);
    const Model loaded = load_model(folder / "made/here");
    CHECK(predict(loaded, x).values() == predict(model, x).values());
    CHECK(predict(loaded, reshape(x, {5, 3, 4}), 2).values() == predict(model, x).values());
    CHECK(to_json(loaded.config) == to_json(model.config));
    CHECK(loaded.loss.kind == LossKind::huber);
    CHECK(loaded.loss.delta == 0.5);
    CHECK(loaded.inputs == model.inputs);
    CHECK(loaded.targets == model.targets);
    CHECK(loaded.classes.empty());
  }
}

TEST_CASE("model: scalers are applied to the input and inverted on the output") {
  Model model = make_model(mixed_config(1));
  const Tensor x = rows(6, 12);
  const Tensor plain = predict(*model.net, x);
  model.y_scaler = Scaler{Tensor::from(std::vector<float>{1, 2}, {2}),
                          Tensor::from(std::vector<float>{3, 4}, {2})};
  CHECK(predict(model, x).values() == model.y_scaler->invert(plain).values());
  model.x_scaler = standard_scaler(x);
  CHECK(predict(model, x).values() ==
        model.y_scaler->invert(predict(*model.net, model.x_scaler->apply(x))).values());
}

TEST_CASE("model: weights are stored as F32, also of an f64 network; classes are kept") {
  const test::Folder folder;
  NetworkConfig config;
  config.model = ModelKind::mlp;
  config.input_dim = 3;
  config.hidden_dim = 4;
  config.output_dim = 2;
  Model model = make_model(config);
  model.net->to(DType::f64);
  model.loss.kind = LossKind::cross_entropy;
  model.classes = {-3, 8};
  save_model(folder.path, model);
  for (const NamedTensor& t : read_safetensors(folder / "model.safetensors"))
    CHECK(t.tensor.dtype() == DType::f32);
  CHECK(load_model(folder.path).classes == model.classes);
}

TEST_CASE("model: what does not fit together is refused, naming the file") {
  const auto load_with = [](const char* from, const char* to) {
    return Saved().load_with(from, to);
  };
  const std::string config = "config.json: ";
  const auto extra = [&](const std::string& members) {
    return load_with("\"loss\": \"mse\"", members.c_str());
  };
  CHECK(load_with("\"depth\": 2", "\"depth\": 0").rfind(config, 0) == 0);
  CHECK(load_with("\"depth\": 2", "\"depth\": 2000000000") ==
        "model.safetensors: load_network: the network has more than 144000000024 parameters, the "
        "weights only 268");
  CHECK(load_with("\"depth\": 2", "\"depth\": 1") ==
        "model.safetensors: load_state: blocks.1.act.acts.psann._A is unexpected");
  CHECK(extra("\"loses\": \"mse\"") == config + "model: unknown key (loses; nearest is loss)");
  CHECK(extra("\"loss\": \"msf\"") ==
        config + "loss: unknown name 'msf' (mse, l1, smooth_l1, huber, cross_entropy)");
  CHECK(extra("\"loss\": \"cross_entropy\"") ==
        config + "model: 0 classes for 2 outputs with loss cross_entropy");
  CHECK(extra("\"classes\": [0, 1]") == config + "model: 2 classes for 2 outputs with loss mse");
  CHECK(extra("\"y_scaler\": {\"shift\": [0, 0]}") ==
        config + "model: a scaler needs shift and scale");
  CHECK(extra("\"y_scaler\": {\"shift\": [0], \"scale\": [1]}") ==
        config + "model: a scaler has 1 columns, the network 2");
  CHECK(extra("\"y_scaler\": {\"shift\": [0, 0], \"scale\": [1, 0]}") ==
        config + "model: a scaler divides by 0");
  CHECK(extra("\"inputs\": [3]") == config + "model: inputs needs a text");
  CHECK(
      load_with("\"mixed_index_sets\": {", "\"mixed_index_sets\": [], \"x\": {").rfind(config, 0) ==
      0);
  CHECK(load_with("\"mixed_index_sets\"", "\"mixed_index_sets\": [], \"classes\"") ==
        config + "model: classes needs a list");
  CHECK(load_with("blocks.0.act.acts.tanh", "blocks.0.act.acts.tan") ==
        config + "load_index_sets: blocks.0.act.acts.tanh [4] is missing");
}

TEST_CASE("model: index sets that are no layout change nothing") {
  Model model = make_model(mixed_config(5));
  const auto bits = [&] {
    std::vector<std::vector<double>> out;
    for (const NamedTensor& t : model.net->index_sets()) out.push_back(t.tensor.values());
    out.push_back(predict(*model.net, rows(2, 12)).values());
    return out;
  };
  const auto before = bits();
  const auto error = [&](const NamedTensors& sets) {
    const std::string text = error_of([&] { model.net->load_index_sets(sets); });
    CHECK(bits() == before);
    return text;
  };
  const NamedTensors good = model.net->index_sets();
  REQUIRE(good.size() == 6);
  CHECK(good[0].name == "blocks.0.act.acts.relu");
  for (const int32_t wrong : {-1, 12, good[5].tensor.host<int32_t>()[1]}) {
    NamedTensors sets = good;
    auto values = good[5].tensor.host<int32_t>();
    values[0] = wrong;
    sets[5].tensor = Tensor::from(values, {4});
    CHECK(error(sets) == "mixed: an index set holds feature " + std::to_string(wrong) +
                             ", of 12, or holds it again");
  }
  NamedTensors sets = good;
  sets[2].tensor = Tensor::from(std::vector<int32_t>{1}, {1});
  CHECK(error(sets) == "load_index_sets: blocks.0.act.acts.tanh has shape [1], needs [4]");
  sets = good;
  sets.push_back({"more", good[0].tensor});
  CHECK(error(sets) == "load_index_sets: more is unexpected");
  auto& act =
      dynamic_cast<MixedActivation&>(*dynamic_cast<GeoSparseNet&>(*model.net).blocks[0].act);
  CHECK(error_of([&] { act.set_index_sets({{0}}); }) == "mixed: 1 index sets for 3 parts");
  CHECK(error_of([&] {
          act.set_index_sets({{0}, {1}, {2}});
        }) == "mixed: relu has 4 features, not 1");
}

TEST_CASE("model: a network that is larger than memory is not begun") {
  NetworkConfig config;
  config.connectivity.shape = {30000, 30000};
  config.connectivity.k = 2;
  config.depth = 2000000000;
  TorchGenerator generator(0);
  CHECK(error_of([&] { make_network(config, generator); }) ==
        "geo_sparse: more than 7.2000000009e+18 parameters do not fit into memory");
}
