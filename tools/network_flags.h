// A network from --config FILE and one flag per key of its JSON (nn.h), which overrides the file.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "flags.h"
#include "sinew/nn.h"

namespace sinew::tools {

class NetworkFlags {
 public:
  // --config, --model, --shape, --depth, --k, ... with their other names; without the flags of the
  // keys named.
  void add_to(Flags& flags, const std::vector<std::string>& without = {});
  bool given() const { return !file_.empty() || !members_.empty(); }
  // The file over `base`, the flags over both; ranges are not checked (`checked` in nn.h does).
  // Throws Error that names the file or the flag.
  NetworkConfig config(const NetworkConfig& base) const;

 private:
  struct Key;
  struct Member {
    std::string flag, json;  // as given; an object with one key
  };
  void add_value(Flags& flags, const Key& key);
  void add_truth(Flags& flags, const Key& key);
  std::string file_;
  std::vector<Member> members_;
};

// What a configuration leaves open (input_dim 0, output_dim left_open, no shape), from data of so
// many columns: input_dim; output_dim = outputs; the shape of geo_sparse = {H, W} of the data, or
// without it the most square H x W with H <= W. Throws if the network's sizes contradict the
// data's; then checks ranges.
constexpr int64_t left_open = -1;
NetworkConfig fit_to_data(NetworkConfig config, int64_t features, const std::vector<int64_t>& grid,
                          int64_t outputs);

}  // namespace sinew::tools
