// The networks of tests/golden: same keys, tables, outputs, gradients, losses and trained weights
// as PyTorch. Errors are relative to the largest magnitude of a tensor and stay below ten times the
// case's sensitivity (what a change of 1e-7 in the initial weights does), or 1e-5.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sinew/io.h"
#include "sinew/nn.h"
#include "sinew/optim.h"

using namespace sinew;
using Json = nlohmann::json;

namespace {

struct Golden {
  explicit Golden(const std::string& name)
      : folder(std::string(SINEW_GOLDEN) + "/" + name + "/"),
        info(Json::parse(read_file(folder + "case.json"))),
        tolerance(std::max(10 * info["sensitivity"].get<double>(), 1e-5)) {
    TorchGenerator generator(21);  // found by trial: the cases do not state their seed
    net = make_network(parse_network_config(info["config"].dump()), generator);
  }
  NamedTensors state(const char* file) const { return read_safetensors(folder + file); }
  Tensor array(const char* file) const { return read_npy(folder + file); }

  std::string folder;
  Json info;
  double tolerance;
  std::unique_ptr<Network> net;
};

// Largest difference over the largest magnitude of b.
double relative(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  const auto va = a.values(), vb = b.values();
  double error = 0, scale = 0;
  for (size_t i = 0; i < va.size(); ++i) {
    error = std::max(error, std::abs(va[i] - vb[i]));
    scale = std::max(scale, std::abs(vb[i]));
    if (std::isnan(va[i])) return INFINITY;
  }
  return error / scale;
}

const Tensor& find(const NamedTensors& state, const std::string& name) {
  const auto found = std::find_if(state.begin(), state.end(),
                                  [&](const NamedTensor& entry) { return entry.name == name; });
  REQUIRE(found != state.end());
  return found->tensor;
}

// A network of the same seed: every weight and table equal, bit for bit.
void check_new(const Golden& golden) {
  const NamedTensors state = golden.net->state(), init = golden.state("init.safetensors");
  std::vector<std::string> keys;
  for (const NamedTensor& entry : state) keys.push_back(entry.name);
  CHECK(keys == golden.info["keys"].get<std::vector<std::string>>());
  CHECK(golden.net->parameter_count() == golden.info["params"].get<int64_t>());
  for (const NamedTensor& entry : state) {
    CAPTURE(entry.name);
    const Tensor& expected = find(init, entry.name);
    if (entry.tensor.dtype() == DType::i32)
      CHECK(entry.tensor.host<int32_t>() == expected.host<int32_t>());
    else
      CHECK(entry.tensor.host<float>() == expected.host<float>());
  }
}

void check_gradients(const Golden& golden, const Tensor& x, const Tensor& t) {
  const NamedTensors expected = golden.state("grads.safetensors");
  std::vector<Tensor> wrt;
  Tape tape;
  const auto parameters = golden.net->parameters();
  for (const Parameter& p : parameters) {
    tape.watch(*p.tensor);
    wrt.push_back(*p.tensor);
  }
  const auto gradients = tape.gradients(mse((*golden.net)(x), t), wrt);
  REQUIRE(gradients.size() == expected.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    CAPTURE(parameters[i].name);
    CHECK(relative(gradients[i], find(expected, parameters[i].name)) < golden.tolerance);
  }
}

void check_training(const Golden& golden, const Tensor& x, const Tensor& t) {
  const Json& train = golden.info["train"];
  ParameterBlock block(golden.net->parameters());
  AdamOptions options;
  options.lr = train["lr"];
  options.weight_decay = train["weight_decay"];
  AdamW optimizer(block, options);
  const int64_t rows = train["batch_size"];
  std::vector<double> losses;
  for (int epoch = 0; epoch < train["epochs"]; ++epoch)
    for (int64_t first = 0; first < x.dim(0); first += rows) {
      Tape tape;
      block.watch(tape);
      const Tensor loss = mse((*golden.net)(x.rows(first, rows), Mode::train), t.rows(first, rows));
      block.backward(tape, loss);
      optimizer.step();
      losses.push_back(loss.value());
    }
  const auto expected = golden.info["losses"].get<std::vector<double>>();
  REQUIRE(losses.size() == expected.size());
  for (size_t i = 0; i < losses.size(); ++i)
    CHECK(std::abs(losses[i] - expected[i]) < golden.tolerance * expected[i]);
}

void check_case(const char* name) {
  const Golden golden(name);
  CAPTURE(golden.folder);
  check_new(golden);
  const Tensor x = golden.array("X.npy"), t = golden.array("T.npy");
  golden.net->load_state(golden.state("init.safetensors"));
  CHECK(relative((*golden.net)(x), golden.array("Y_init.npy")) < golden.tolerance);
  check_gradients(golden, x, t);
  check_training(golden, x, t);
  const NamedTensors after = golden.state("after.safetensors");
  for (const NamedTensor& entry : golden.net->state()) {
    CAPTURE(entry.name);
    CHECK(relative(entry.tensor, find(after, entry.name)) < golden.tolerance);
  }
  CHECK(relative((*golden.net)(x), golden.array("Y_after.npy")) < golden.tolerance);
}

}  // namespace

TEST_CASE("golden: local, wrap, psann") { check_case("wrap_local_psann"); }
TEST_CASE("golden: hash, phase_psann, layer norm") { check_case("hash_phase_layer"); }
TEST_CASE("golden: random, mixed") { check_case("mixed_relu_psann"); }
