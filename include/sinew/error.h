// The one exception type of the library. Messages read `op: fact (values)`.
#pragma once
#include <stdexcept>
#include <string>

namespace sinew {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace sinew
