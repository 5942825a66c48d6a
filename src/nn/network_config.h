// Checks of a network's configuration, shared by parsing and building.
#pragma once
#include "sinew/nn.h"

namespace sinew {

// Throws `model: ...` for sizes and rates out of range; fills in input_dim of geo_sparse.
NetworkConfig checked(NetworkConfig config);

}  // namespace sinew
