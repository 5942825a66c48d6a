// The tables of a connectivity for a GPU: for each direction the edges of each target, the chunks
// of targets with the window of sources each reads, and with these the layout of the kernels. Edges
// of 32 targets lie side by side (sliced ELLPACK: Monakov, Lokhmotov, Avetisyan, HiPEAC 2010), so
// that a warp reads them together; one behind the other where filling up would double them. A
// window is cyclic: across the border of a wrapped grid it is as small as elsewhere.
#include <algorithm>
#include <mutex>

#include "core/dispatch.h"
#include "geo/geo_linear.h"
#include "sinew/geo.h"

namespace sinew {
namespace {

constexpr int64_t slice = 32;

struct Edges {  // of one direction, on the host
  int64_t n_x, targets, k;
  std::vector<int32_t> first;  // (targets + 1)
  std::vector<int32_t> edge, source;
};

Edges forward_edges(const Connectivity& c) {
  Edges e{c.n_in, c.n_out, c.k, {}, {}, c.table};
  for (int64_t o = 0; o <= c.n_out; ++o) e.first.push_back(static_cast<int32_t>(o * c.k));
  for (int64_t i = 0; i < c.n_out * c.k; ++i) e.edge.push_back(static_cast<int32_t>(i));
  return e;
}

Edges reverse_edges(const Connectivity& c) {
  Edges e{c.n_out, c.n_in, c.k, c.reverse_start, c.reverse_edge, {}};
  for (int32_t edge : e.edge) e.source.push_back(static_cast<int32_t>(edge / c.k));
  return e;
}

struct Window {
  int32_t first = 0, count = 0;
};
// The shortest cyclic range of sources that holds all of `used`.
Window window_of(std::vector<int32_t> used, int64_t n) {
  if (used.empty()) return {};
  std::sort(used.begin(), used.end());
  int64_t gap = n - used.back() + used.front();  // round the end
  size_t after = 0;
  for (size_t i = 1; i < used.size(); ++i)
    if (used[i] - used[i - 1] > gap) {
      gap = used[i] - used[i - 1];
      after = i;
    }
  return {used[after], static_cast<int32_t>(n - gap + 1)};
}

struct Side {
  GeoSizes sizes{};
  std::vector<int32_t> chunks, start, degree, source, edge;
};

int64_t most_edges(const Edges& e, int64_t target) {  // of the slice that begins with `target`
  int64_t most = 0;
  for (int64_t t = target; t < std::min(target + slice, e.targets); ++t) {
    const auto at = static_cast<size_t>(t);
    most = std::max<int64_t>(most, e.first[at + 1] - e.first[at]);
  }
  return most;
}

Side measured(const Edges& e) {
  Side side;
  GeoSizes& s = side.sizes;
  s.most_shared = cuda_info().shared_memory;
  s.n_x = e.n_x;
  s.edges = e.first.back();
  s.chunk = geo_chunk(e.targets, e.k);
  int64_t entry = 0;
  for (int64_t target = 0; target < e.targets; target += s.chunk) {
    const int64_t end = std::min(target + s.chunk, e.targets), first = entry;
    const auto sources = e.source.begin();
    const Window window = window_of({sources + e.first[static_cast<size_t>(target)],
                                     sources + e.first[static_cast<size_t>(end)]},
                                    e.n_x);
    for (int64_t t = target; t < end; t += slice) entry += slice * most_edges(e, t);
    s.window = std::max<int64_t>(s.window, window.count);
    s.windows += window.count;
    s.entries = std::max(s.entries, entry - first);
    for (int64_t v : {int64_t{window.first}, int64_t{window.count}, first, entry - first})
      side.chunks.push_back(static_cast<int32_t>(v));
  }
  s.all_entries = entry;
  return side;
}

Side made(const Edges& e) {
  Side side = measured(e);
  const int64_t stride = geo_stride(side.sizes);
  int64_t entry = 0;
  for (int64_t target = 0; target < e.targets; target += slice) {
    const int64_t width = most_edges(e, target);
    for (int64_t t = target; t < std::min(target + slice, e.targets); ++t) {
      const auto at = static_cast<size_t>(t);
      const int64_t start = stride == 1 ? e.first[at] : entry + t - target;
      side.start.push_back(static_cast<int32_t>(start));
      side.degree.push_back(e.first[at + 1] - e.first[at]);
    }
    entry += slice * width;
  }
  const int64_t entries = stride == 1 ? side.sizes.edges : entry;
  side.source.assign(static_cast<size_t>(entries), 0);
  side.edge.assign(static_cast<size_t>(entries), -1);
  for (size_t t = 0; t < side.start.size(); ++t)
    for (int64_t i = 0; i < side.degree[t]; ++i) {
      const auto to = static_cast<size_t>(side.start[t] + i * stride);
      const auto from = static_cast<size_t>(e.first[t] + i);
      side.source[to] = e.source[from];
      side.edge[to] = e.edge[from];
    }
  return side;
}

}  // namespace

// Made once, then only read.
struct GeoTables {
  GeoSide sides[2];              // without pointers
  std::vector<Tensor> parts[2];  // chunks, start, degree, source, edge
};

namespace {

std::shared_ptr<const GeoTables> uploaded(const Connectivity& c) {
  if (context().recorder)
    throw Error("geo_linear: this connectivity's first use on cuda is in the recording of a step");
  const Scoped<std::shared_ptr<Pool>> pool(context().pool, context().own_pool);  // outlives steps
  auto tables = std::make_shared<GeoTables>();
  for (const GeoDirection direction : {GeoDirection::forward, GeoDirection::reverse}) {
    const Side side =
        made(direction == GeoDirection::forward ? forward_edges(c) : reverse_edges(c));
    const auto d = static_cast<size_t>(direction);
    GeoSide& plan = tables->sides[d];
    plan.layout = geo_layout(side.sizes);
    plan.chunk = static_cast<int32_t>(side.sizes.chunk);
    plan.window = static_cast<int32_t>(side.sizes.window);
    plan.entries = static_cast<int32_t>(side.sizes.entries);
    plan.most_shared = static_cast<int32_t>(side.sizes.most_shared);
    plan.stride = static_cast<int32_t>(geo_stride(side.sizes));
    plan.all_entries = static_cast<int32_t>(side.edge.size());
    for (const auto* part : {&side.chunks, &side.start, &side.degree, &side.source, &side.edge})
      tables->parts[d].push_back(Tensor::from(*part, {static_cast<int64_t>(part->size())}));
  }
  synchronize();  // the next user may be a thread with a stream of its own
  return tables;
}

}  // namespace

GeoSide geo_tables_on_gpu(const Connectivity& c, GeoDirection direction) {
  static std::mutex mutex;
  std::shared_ptr<const GeoTables> tables;
  {
    const std::lock_guard lock(mutex);
    if (!c.on_gpu) c.on_gpu = uploaded(c);
    tables = c.on_gpu;
  }
  const auto d = static_cast<size_t>(direction);
  GeoSide side = tables->sides[d];
  const auto& parts = tables->parts[d];
  const auto words = [&](size_t i) { return static_cast<const int32_t*>(pointer(parts[i])); };
  side.chunks = words(0);
  side.start = words(1);
  side.degree = words(2);
  side.source = words(3);
  side.edge = words(4);
  return side;
}

}  // namespace sinew
