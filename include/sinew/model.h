// A trained network together with everything that turns rows as they come into answers, and the
// folder that holds it:
//
//   DIR/config.json        the network (nn.h) and, under "sinew", the rest of a Model
//   DIR/model.safetensors  weights and tables under the reference's names
//
//     save_model("run", model);
//     Tensor y = predict(load_model("run"), x);
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sinew/train.h"

namespace sinew {

struct Model {
  NetworkConfig config;
  std::unique_ptr<Network> net;
  Loss loss;  // what it was trained for; cross_entropy: a classifier
  std::optional<Scaler> x_scaler, y_scaler;
  std::vector<int64_t> classes;              // of a classifier: the label of each output
  std::vector<std::string> inputs, targets;  // names of columns, where the data had some
};

// x (rows, ...) as it comes: scaled, through the network so many rows at once, scaled back.
Tensor predict(const Model& model, const Tensor& x, int64_t rows_at_once = 4096);

// A network with stored weights. Throws if the configuration asks for more parameters than the
// tensors hold, before memory is taken for them, and what make_network and load_state throw.
std::unique_ptr<Network> load_network(const NetworkConfig& config, const NamedTensors& weights,
                                      Strict strict = Strict::yes);

// Weights are written as F32. Makes the folder if it is not there.
void save_model(const std::string& folder, Model& model);
Model load_model(const std::string& folder);

}  // namespace sinew
