// Parameters, states and their loading.
#include <doctest/doctest.h>

#include <algorithm>

#include "gradcheck.h"
#include "sinew/error.h"
#include "sinew/nn.h"

using namespace sinew;
using namespace sinew::test;

namespace {

std::unique_ptr<Network> build(int64_t seed, const std::string& extra = "") {
  TorchGenerator generator(seed);
  return make_network(parse_network_config(R"({"shape": [2, 3], "k": 3, "depth": 2,
      "residual_alpha_init": 0.5, "pattern": "hash")" +
                                           extra + "}"),
                      generator);
}

NamedTensor& find(NamedTensors& state, const std::string& name) {
  for (NamedTensor& entry : state)
    if (entry.name == name) return entry;
  FAIL(name);
  return state[0];
}

void check_fails(const NamedTensors& state, const char* message) {
  const auto net = build(1);
  const Tensor x = random_f32({4, 6}, 3);
  const Tensor before = (*net)(x);
  CHECK_THROWS_WITH_AS(net->load_state(state), message, Error);
  CHECK(difference((*net)(x), before) == 0);  // nothing has changed
}

}  // namespace

TEST_CASE("network: a loaded state gives the same output, tables included") {
  const auto saved = build(0, R"(, "seed": 5)"), net = build(1, R"(, "seed": 6)");
  const Tensor x = random_f32({4, 6}, 3);
  CHECK(difference((*net)(x), (*saved)(x)) > 1e-3);
  net->load_state(saved->state());
  CHECK(difference((*net)(x), (*saved)(x)) == 0);
  auto& blocks = dynamic_cast<GeoSparseNet&>(*net).blocks;
  CHECK(blocks[0].fc1.table == blocks[0].fc2.table);  // equal ones are shared
  CHECK(blocks[0].fc1.table != blocks[1].fc1.table);

  // The values are copies: training one network leaves the other alone.
  net->parameters()[0].tensor->assign(std::vector<float>{7});
  CHECK(saved->parameters()[0].tensor->item<float>() == 0.5f);
}

TEST_CASE("network: tables of a state may differ between layers") {
  const auto net = build(0, R"(, "seed": 5)"), other = build(0, R"(, "seed": 6)");
  NamedTensors state = net->state(), theirs = other->state();
  for (const char* key : {"in_index_per_out", "src_index", "dst_index"})
    find(state, std::string("blocks.0.fc2.") + key) =
        find(theirs, std::string("blocks.0.fc2.") + key);
  net->load_state(state);
  auto& block = dynamic_cast<GeoSparseNet&>(*net).blocks[0];
  CHECK(block.fc1.table->table != block.fc2.table->table);
  CHECK(block.fc2.table->table == dynamic_cast<GeoSparseNet&>(*other).blocks[0].fc2.table->table);
}

TEST_CASE("network: state holds edge lists") {
  const auto net = build(0);
  NamedTensors state = net->state();
  const auto table = find(state, "blocks.1.fc1.in_index_per_out").tensor;
  CHECK(table.shape() == Shape{6, 3});
  CHECK(find(state, "blocks.1.fc1.src_index").tensor.host<int32_t>() == table.host<int32_t>());
  const auto dst = find(state, "blocks.1.fc1.dst_index").tensor.host<int32_t>();
  for (size_t e = 0; e < dst.size(); ++e) CHECK(dst[e] == static_cast<int32_t>(e / 3));
}

TEST_CASE("network: to f64 and states of other types") {
  const auto net = build(0);
  const Tensor x = random_f32({4, 6}, 3);
  const Tensor y = (*net)(x);
  net->to(DType::f64);
  const Tensor exact = (*net)(cast(x, DType::f64));
  CHECK(exact.dtype() == DType::f64);
  CHECK(difference(cast(y, DType::f64), exact) < 1e-6);
  const auto narrow = build(1);
  narrow->load_state(net->state());  // f64 values into f32 parameters
  CHECK(difference((*narrow)(x), y) == 0);
}

TEST_CASE("network: errors of load_state") {
  NamedTensors state = build(1)->state();
  const auto with = [&](const std::string& name, const Tensor& value) {
    NamedTensors changed = state;
    find(changed, name).tensor = value;
    return changed;
  };
  NamedTensors missing = state;
  missing.erase(missing.begin() + 1);
  check_fails(missing, "load_state: blocks.0.norm.scale [6] is missing");
  check_fails(with("blocks.0.norm.scale", Tensor::zeros({5})),
              "load_state: blocks.0.norm.scale has shape [5], needs [6]");
  check_fails(with("head.bias", Tensor::zeros({1}, DType::i32)),
              "load_state: head.bias has the wrong dtype (i32)");
  check_fails(with("blocks.1.fc2.src_index", Tensor::zeros({18})),
              "load_state: blocks.1.fc2.src_index has the wrong dtype (f32)");
  check_fails(with("blocks.1.fc2.in_index_per_out", Tensor::zeros({6, 2}, DType::i32)),
              "load_state: blocks.1.fc2.in_index_per_out has shape [6, 2], needs [6, 3]");
  std::vector<int32_t> table(18, 0);
  table[4] = 6;
  check_fails(with("blocks.1.fc2.in_index_per_out", Tensor::from(table, {6, 3})),
              "load_state: blocks.1.fc2.in_index_per_out: connectivity: index out of range "
              "(6 at output 1, n_in 6)");
  check_fails(with("blocks.0.fc1.src_index", Tensor::full({18}, 1, DType::i32)),
              "load_state: blocks.0.fc1.src_index does not repeat in_index_per_out");
  check_fails(with("blocks.0.fc1.dst_index", Tensor::full({18}, 1, DType::i32)),
              "load_state: blocks.0.fc1.dst_index does not number the outputs");

  NamedTensors more = state;
  more.push_back({"blocks.2.alpha", Tensor::zeros({1})});
  check_fails(more, "load_state: blocks.2.alpha is unexpected");
  build(1)->load_state(more, Strict::no);
  more.back().name = "head.bias";
  check_fails(more, "load_state: head.bias is given twice");
}
