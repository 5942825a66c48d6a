// What every network can do with its members: list parameters, cast, save and load.
// A state is an ordered list of named tensors with the reference's names; each sparse layer adds
// its table three times, as the reference's buffers do. Loading checks everything first.
#include <algorithm>
#include <map>

#include "sinew/error.h"
#include "sinew/nn.h"

namespace sinew {
namespace {

Tensor narrow(const std::vector<int64_t>& values) {
  return Tensor::from(std::vector<int32_t>(values.begin(), values.end()),
                      {static_cast<int64_t>(values.size())});
}

// The tensors of a state by name, until they are asked for.
class Lookup {
 public:
  Lookup(const char* op, const NamedTensors& state) : op_(std::string(op) + ": ") {
    for (const NamedTensor& entry : state)
      if (!left_.emplace(entry.name, entry.tensor).second)
        throw Error(op_ + entry.name + " is given twice");
  }

  Tensor take(const std::string& name, const Shape& shape) {
    const auto found = left_.find(name);
    if (found == left_.end()) throw Error(op_ + name + " " + shape.str() + " is missing");
    const Tensor t = found->second;
    if (!t.defined() || !(t.shape() == shape))
      throw Error(op_ + name + " has shape " + t.shape().str() + ", needs " + shape.str());
    left_.erase(found);
    return t;
  }

  void require_none_left() const {
    if (!left_.empty()) throw Error(op_ + left_.begin()->first + " is unexpected");
  }

 private:
  std::string op_;
  std::map<std::string, Tensor> left_;
};

void require_type(const std::string& name, const Tensor& t, bool ok) {
  if (!ok)
    throw Error("load_state: " + name + " has the wrong dtype (" + sinew::name(t.dtype()) + ")");
}

std::vector<int32_t> indices(Lookup& lookup, const std::string& name, const Shape& shape) {
  const Tensor t = lookup.take(name, shape);
  require_type(name, t, t.dtype() == DType::i32);
  return t.host<int32_t>();
}

SharedConnectivity load_table(Lookup& lookup, const std::string& prefix, const Connectivity& old) {
  const Shape flat{old.n_out * old.k};
  auto table = indices(lookup, prefix + "in_index_per_out", {old.n_out, old.k});
  const auto src = indices(lookup, prefix + "src_index", flat);
  const auto dst = indices(lookup, prefix + "dst_index", flat);
  SharedConnectivity loaded;
  try {
    loaded = make_connectivity(old.n_in, old.n_out, old.k, std::move(table));
  } catch (const Error& e) {
    throw Error("load_state: " + prefix + "in_index_per_out: " + e.what());
  }
  const EdgeList edges = edge_list(*loaded);
  if (!std::equal(src.begin(), src.end(), edges.src.begin()))
    throw Error("load_state: " + prefix + "src_index does not repeat in_index_per_out");
  if (!std::equal(dst.begin(), dst.end(), edges.dst.begin()))
    throw Error("load_state: " + prefix + "dst_index does not number the outputs");
  return loaded;
}

}  // namespace

std::vector<Parameter> Network::parameters() {
  std::vector<Parameter> out;
  for (const Member& m : members())
    if (m.tensor) out.push_back({m.name, m.tensor, m.trainable});
  return out;
}

int64_t Network::parameter_count() {
  int64_t count = 0;
  for (const Parameter& p : parameters()) count += p.tensor->numel();
  return count;
}

int64_t Network::trainable_count() {
  int64_t count = 0;
  for (const Parameter& p : parameters()) count += p.trainable ? p.tensor->numel() : 0;
  return count;
}

void Network::to(DType dtype) {
  if (!is_floating(dtype))
    throw Error("network: types are f32, f64 and bf16 (" + std::string(name(dtype)) + ")");
  const DType parameter = dtype == DType::bf16 ? DType::f32 : dtype;
  for (const Parameter& p : parameters()) *p.tensor = cast(p.tensor->detach(), parameter);
  activations_ = dtype;
}

Tensor Network::entering(const Tensor& x) const {
  return activations_ == DType::bf16 ? cast(x, DType::bf16) : x;
}

std::optional<DType> Network::leaving() const {
  return activations_ == DType::bf16 ? std::optional(DType::f32) : std::nullopt;
}

NamedTensors Network::state() {
  NamedTensors out;
  for (const Member& m : members()) {
    if (m.tensor) {
      out.push_back({m.name, m.tensor->detach()});
      continue;
    }
    if (!m.table) continue;
    const Connectivity& c = **m.table;
    const EdgeList edges = edge_list(c);
    out.push_back({m.name + "in_index_per_out", Tensor::from(c.table, {c.n_out, c.k})});
    out.push_back({m.name + "src_index", narrow(edges.src)});
    out.push_back({m.name + "dst_index", narrow(edges.dst)});
  }
  return out;
}

void Network::load_state(const NamedTensors& state, Strict strict) {
  Lookup lookup("load_state", state);
  const Members owned = members();
  std::vector<Tensor> values;
  std::vector<SharedConnectivity> tables;
  for (const Member& m : owned) {
    if (m.tensor) {
      values.push_back(lookup.take(m.name, m.tensor->shape()));
      require_type(m.name, values.back(), is_floating(values.back().dtype()));
    } else if (m.table) {
      tables.push_back(load_table(lookup, m.name, **m.table));
    }
  }
  if (strict == Strict::yes) lookup.require_none_left();

  auto value = values.begin();
  auto table = tables.begin();
  for (const Member& m : owned) {
    if (m.tensor) {
      m.tensor->assign(cast(*value++, m.tensor->dtype()));
      continue;
    }
    if (!m.table) continue;
    if (table != tables.begin() && (*table)->table == (*std::prev(table))->table)
      *table = *std::prev(table);  // equal neighbours share one table
    *m.table = *table++;
  }
}

NamedTensors Network::index_sets() {
  NamedTensors out;
  for (const Member& m : members()) {
    if (!m.mixed) continue;
    for (const MixedActivation::Part& part : m.mixed->parts)
      out.push_back({m.name + "acts." + name(part.kind),
                     Tensor::from(part.index, {static_cast<int64_t>(part.index.size())})});
  }
  return out;
}

void Network::load_index_sets(const NamedTensors& sets) {
  const NamedTensors own = index_sets();
  Lookup lookup("load_index_sets", sets);
  std::vector<std::vector<int32_t>> values;
  for (const NamedTensor& set : own)
    values.push_back(indices(lookup, set.name, set.tensor.shape()));
  lookup.require_none_left();
  const auto assign = [&](const std::vector<std::vector<int32_t>>& all) {
    auto next = all.begin();
    for (const Member& m : members()) {
      if (!m.mixed) continue;
      const auto end = next + static_cast<int64_t>(m.mixed->parts.size());
      m.mixed->set_index_sets({next, end});
      next = end;
    }
  };
  try {
    assign(values);
  } catch (const Error&) {
    std::vector<std::vector<int32_t>> old;
    for (const NamedTensor& set : own) old.push_back(set.tensor.host<int32_t>());
    assign(old);
    throw;
  }
}

}  // namespace sinew
