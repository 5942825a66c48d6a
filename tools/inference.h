// What predict and evaluate share: a stored model, a check that data fit it, and predictions that a
// signal can stop.
#pragma once
#include <string>

#include "dataset.h"
#include "sinew/model.h"

namespace sinew::tools {

struct ModelFlags {
  std::string model;  // a folder
  std::string config, weights;
  bool strict = true;  // of the weights
};

// The model of the folder, or a network without scalers and classes of config and weights; in
// dtype, f32 or f64.
Model read_model(const ModelFlags& flags, DType dtype);
// The column names of a model's data.
ColumnNames names_of(const Model& model);
// Throws, naming the file, unless the network takes such rows and, in H x W, such a grid.
void require_inputs(const NetworkConfig& config, const Tensor& x, const std::vector<int64_t>& grid,
                    const std::string& file);
// predict of model.h; throws Stopped between batches.
Tensor predict_rows(const Model& model, const Tensor& x, int64_t batch_size);

}  // namespace sinew::tools
