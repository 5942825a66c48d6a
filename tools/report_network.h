// Drawings of a geo_sparse network: what one neuron reads, and one block.
#pragma once
#include <string>

#include "sinew/nn.h"

namespace sinew::tools {

// SVGs of the inputs of a neuron in the middle and of one in a corner, in the first block; a
// sentence in their place where the table is too large to make here or drawn from the run's stream.
std::string connectivity_drawing(const NetworkConfig& config, const std::string& id);
// norm, geo_linear, activation, geo_linear, and the line around them. `activations` and `depths`
// name those of all networks that it stands for.
std::string block_drawing(const NetworkConfig& config, const std::string& activations,
                          const std::string& depths, const std::string& id);

}  // namespace sinew::tools
