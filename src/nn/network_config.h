// Checks of a network's configuration, shared by parsing and building.
#pragma once
#include "sinew/nn.h"

namespace sinew {

// A lower bound of a network's parameters, without biases, norms and activations; of a checked one.
double least_parameters(const NetworkConfig& config);
// Throws if so many f32 values are more than the machine's memory.
void require_parameters_fit(const NetworkConfig& config);

}  // namespace sinew
