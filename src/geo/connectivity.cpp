// Index tables (n_out, k) of geometric sparse layers, and their reverse.
// Output (r, c) of an H x W grid reads the cells at offsets (dr, dc): clamp or wrap (r + dr, c +
// dc) into the grid. Which k of them: see geo.h; random draws come from TorchGenerator streams.
// Source: the connectivity of the psann package's geo-sparse layers, entry by entry, plus distance
// order, distinct inputs and dilation.
// Reverse table: counting sort of the edges o * k + j by the input they read.
#include <algorithm>
#include <numeric>
#include <utility>

#include "sinew/error.h"
#include "sinew/geo.h"

namespace sinew {
namespace {

constexpr int64_t max_edges = INT32_MAX;
constexpr int64_t max_radius = 2047;  // 2^24 offsets

struct Offset {
  int64_t row;
  int64_t column;
};

std::string str(int64_t value) { return std::to_string(value); }

void require(bool ok, const std::string& fact) {
  if (!ok) throw Error("connectivity: " + fact);
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

int64_t inside(int64_t position, int64_t size, WrapMode mode) {
  if (position >= 0 && position < size) return position;
  if (mode == WrapMode::clamp) return position < 0 ? 0 : size - 1;
  const int64_t rest = position % size;
  return rest < 0 ? rest + size : rest;
}

struct Grid {
  int64_t height;
  int64_t width;
  WrapMode mode;
  int32_t cell(int64_t row, int64_t column, Offset by) const {
    return static_cast<int32_t>(inside(row + by.row, height, mode) * width +
                                inside(column + by.column, width, mode));
  }
};

void check_sizes(const ConnectivityOptions& options) {
  const auto& shape = options.shape;
  require(shape.size() == 2, "shape needs two sizes (has " + std::to_string(shape.size()) + ")");
  const int64_t h = shape[0], w = shape[1], k = options.k;
  const std::string sizes = "H " + str(h) + ", W " + str(w);
  require(h > 0 && w > 0, "sizes must be positive (" + sizes + ")");
  require(h <= max_edges / w, "too many cells (" + sizes + ")");
  require(k > 0, "k must be positive (" + str(k) + ")");
  require(k <= max_edges / (h * w), "too many edges (" + sizes + ", k " + str(k) + ")");
  require(options.dilation > 0 && options.dilation <= INT32_MAX,
          "dilation outside [1, 2^31) (" + str(options.dilation) + ")");
}

// Different positions that the window reaches along one axis, at the place where they are fewest:
// the border for clamp, anywhere for wrap.
int64_t reached(int64_t size, int64_t radius, int64_t dilation, WrapMode mode) {
  radius = std::min(radius, size);  // no farther can reach more
  if (mode == WrapMode::wrap) return std::min(2 * radius + 1, size / std::gcd(size, dilation));
  return 1 + std::min(radius, (size - 1 + dilation - 1) / dilation);
}

int64_t window_radius(const ConnectivityOptions& options) {
  int64_t radius = options.radius.value_or(0);
  require(radius >= 0, "radius must not be negative (" + str(radius) + ")");
  if (!options.radius || options.distinct) {
    const int64_t h = options.shape[0], w = options.shape[1], d = options.dilation;
    const auto candidates = [&](int64_t r) {
      return reached(h, r, d, options.wrap_mode) * reached(w, r, d, options.wrap_mode) -
             (options.include_self ? 0 : 1);
    };
    const int64_t most = candidates(std::max(h, w));
    require(most >= options.k, "no radius gives k different candidates everywhere (k " +
                                   str(options.k) + ", at most " + str(most) + ")");
    while (candidates(radius) < options.k) ++radius;
  }
  require(radius <= max_radius, "radius above 2047 (" + str(radius) + ")");
  return radius;
}

std::vector<Offset> given_offsets(const std::vector<std::vector<int64_t>>& given) {
  require(!given.empty(), "offsets are empty");
  std::vector<Offset> offsets;
  for (const auto& entry : given) {
    const std::string where = "offset " + std::to_string(offsets.size());
    require(entry.size() == 2,
            where + " needs two entries (has " + std::to_string(entry.size()) + ")");
    for (int64_t v : entry)
      require(v >= -max_edges && v <= max_edges, where + " is out of range (" + str(v) + ")");
    offsets.push_back({entry[0], entry[1]});
  }
  return offsets;
}

std::vector<Offset> window_offsets(int64_t radius) {
  std::vector<Offset> offsets;
  for (int64_t dr = -radius; dr <= radius; ++dr)
    for (int64_t dc = -radius; dc <= radius; ++dc) offsets.push_back({dr, dc});
  return offsets;
}

// The offsets in the order in which candidates are taken.
std::vector<Offset> candidate_offsets(const ConnectivityOptions& options) {
  std::vector<Offset> offsets =
      options.offsets ? given_offsets(*options.offsets) : window_offsets(window_radius(options));
  if (!options.include_self)
    offsets.erase(std::remove_if(offsets.begin(), offsets.end(),
                                 [](Offset o) { return o.row == 0 && o.column == 0; }),
                  offsets.end());
  require(!offsets.empty(), "no offset is left without (0, 0)");
  if (options.offset_order == OffsetOrder::distance) {
    const auto distance = [](Offset o) { return o.row * o.row + o.column * o.column; };
    std::stable_sort(offsets.begin(), offsets.end(),
                     [&](Offset a, Offset b) { return distance(a) < distance(b); });
  }
  for (Offset& o : offsets) {
    o.row *= options.dilation;
    o.column *= options.dilation;
  }
  return offsets;
}

// Chooses k candidates of one output after the other.
class Chooser {
 public:
  Chooser(const ConnectivityOptions& options, TorchGenerator* global)
      : options_(options),
        grid_{options.shape[0], options.shape[1], options.wrap_mode},
        offsets_(candidate_offsets(options)),
        repeats_(options.allow_repeats && !options.distinct),
        own_(options.seed.value_or(0)),
        stream_(&own_) {
    if (options.pattern == Pattern::random && !options.seed) stream_ = global;
    require(stream_ != nullptr, "random without a seed needs a generator");
    const size_t k = static_cast<size_t>(options.k), count = offsets_.size();
    if (repeats_ && options.pattern == Pattern::local) {  // first k offsets, starting over
      offsets_.resize(k);
      for (size_t j = count; j < k; ++j) offsets_[j] = offsets_[j - count];
    }
    if (!repeats_) seen_by_.assign(static_cast<size_t>(grid_.height * grid_.width), -1);
  }

  std::vector<int32_t> table() {
    std::vector<int32_t> table(static_cast<size_t>(grid_.height * grid_.width * options_.k));
    int32_t* out = table.data();
    for (int64_t row = 0; row < grid_.height; ++row)
      for (int64_t column = 0; column < grid_.width; ++column, out += options_.k) {
        if (options_.pattern == Pattern::hash) seed_output(row * grid_.width + column);
        if (repeats_)
          choose_any(row, column, out);
        else
          choose_different(row, column, out);
      }
    return table;
  }

 private:
  void seed_output(int64_t o) {  // sums wrap around, as only the low 32 bits count
    const auto seed = static_cast<uint64_t>(options_.seed.value_or(0));
    own_.seed(static_cast<int64_t>(seed + (static_cast<uint64_t>(o) + 1) * 1000003u));
  }

  void choose_any(int64_t row, int64_t column, int32_t* out) {
    const bool local = options_.pattern == Pattern::local;
    const int64_t count = static_cast<int64_t>(offsets_.size());
    for (int64_t j = 0; j < options_.k; ++j)
      out[j] =
          grid_.cell(row, column, offsets_[local ? static_cast<size_t>(j) : stream_->below(count)]);
  }

  void choose_different(int64_t row, int64_t column, int32_t* out) {
    const size_t k = static_cast<size_t>(options_.k);
    const bool local = options_.pattern == Pattern::local;
    const int32_t o = static_cast<int32_t>(row * grid_.width + column);
    if (options_.distinct && !options_.include_self) seen_by_[static_cast<size_t>(o)] = o;
    unique_.clear();
    for (Offset by : offsets_) {
      if (local && unique_.size() == k) break;
      const int32_t cell = grid_.cell(row, column, by);
      if (std::exchange(seen_by_[static_cast<size_t>(cell)], o) != o) unique_.push_back(cell);
    }
    if (unique_.size() < k)
      throw Error("connectivity: too few different candidates (k " + str(options_.k) + ", " +
                  std::to_string(unique_.size()) + " at cell " + str(o) + ")");
    if (!local)  // the whole permutation, so that a stream of the table moves on as the reference's
      for (size_t i = 0, left = unique_.size(); left > 1; ++i, --left)
        std::swap(unique_[i], unique_[i + stream_->below(static_cast<int64_t>(left))]);
    std::copy_n(unique_.begin(), k, out);
  }

  const ConnectivityOptions& options_;
  Grid grid_;
  std::vector<Offset> offsets_;
  bool repeats_;
  TorchGenerator own_;
  TorchGenerator* stream_;
  std::vector<int32_t> seen_by_;  // the last output that each cell was a candidate of
  std::vector<int32_t> unique_;
};

SharedConnectivity with_reverse(int64_t n_in, int64_t n_out, int64_t k,
                                std::vector<int32_t> table) {
  auto c = std::make_shared<Connectivity>();
  *c = {n_in, n_out, k, std::move(table), {}, {}, {}};
  c->reverse_start.assign(static_cast<size_t>(n_in) + 1, 0);
  for (int32_t i : c->table) ++c->reverse_start[static_cast<size_t>(i) + 1];
  std::partial_sum(c->reverse_start.begin(), c->reverse_start.end(), c->reverse_start.begin());
  std::vector<int32_t> next(c->reverse_start.begin(), c->reverse_start.end() - 1);
  c->reverse_edge.resize(c->table.size());
  c->reverse_source.resize(c->table.size());
  for (size_t e = 0; e < c->table.size(); ++e) {
    const auto slot = static_cast<size_t>(next[static_cast<size_t>(c->table[e])]++);
    c->reverse_edge[slot] = static_cast<int32_t>(e);
    c->reverse_source[slot] = static_cast<int32_t>(e / static_cast<size_t>(k));
  }
  return c;
}

SharedConnectivity from_options(const ConnectivityOptions& options, TorchGenerator* global) {
  check_sizes(options);
  const int64_t n = options.shape[0] * options.shape[1];
  return with_reverse(n, n, options.k, Chooser(options, global).table());
}

}  // namespace

Pattern parse_pattern(const std::string& text) {
  const std::string name = lower(text);
  if (name == "local") return Pattern::local;
  if (name == "random") return Pattern::random;
  if (name == "hash") return Pattern::hash;
  throw Error("connectivity: unknown pattern (" + text + "; local, random or hash)");
}

WrapMode parse_wrap_mode(const std::string& text) {
  const std::string name = lower(text);
  if (name == "clamp") return WrapMode::clamp;
  if (name == "wrap") return WrapMode::wrap;
  throw Error("connectivity: unknown wrap mode (" + text + "; clamp or wrap)");
}

OffsetOrder parse_offset_order(const std::string& text) {
  const std::string name = lower(text);
  if (name == "reference") return OffsetOrder::reference;
  if (name == "distance") return OffsetOrder::distance;
  throw Error("connectivity: unknown offset order (" + text + "; reference or distance)");
}

SharedConnectivity make_connectivity(const ConnectivityOptions& options, TorchGenerator& global) {
  return from_options(options, &global);
}

SharedConnectivity make_connectivity(const ConnectivityOptions& options) {
  return from_options(options, nullptr);
}

SharedConnectivity make_connectivity(int64_t n_in, int64_t n_out, int64_t k,
                                     std::vector<int32_t> table) {
  const std::string sizes = "n_in " + str(n_in) + ", n_out " + str(n_out) + ", k " + str(k);
  require(n_in > 0 && n_out > 0 && k > 0, "sizes must be positive (" + sizes + ")");
  require(n_in <= max_edges && k <= max_edges / n_out, "too many edges (" + sizes + ")");
  require(static_cast<int64_t>(table.size()) == n_out * k, "table needs n_out * k entries (" +
                                                               sizes + ", entries " +
                                                               std::to_string(table.size()) + ")");
  for (size_t e = 0; e < table.size(); ++e)
    if (table[e] < 0 || table[e] >= n_in)
      throw Error("connectivity: index out of range (" + str(table[e]) + " at output " +
                  str(static_cast<int64_t>(e) / k) + ", n_in " + str(n_in) + ")");
  return with_reverse(n_in, n_out, k, std::move(table));
}

EdgeList edge_list(const Connectivity& connectivity) {
  EdgeList edges;
  edges.src.assign(connectivity.table.begin(), connectivity.table.end());
  edges.dst.reserve(edges.src.size());
  for (int64_t o = 0; o < connectivity.n_out; ++o)
    edges.dst.insert(edges.dst.end(), static_cast<size_t>(connectivity.k), o);
  return edges;
}

}  // namespace sinew
