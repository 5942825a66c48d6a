// Kernels of the sparse layer y[b, o] = bias[o] + sum_j w[o, j] x[b, table[o, j]] and its adjoints.
#pragma once
#include <cstddef>

#include "core/exec.h"

namespace sinew {

struct Connectivity;

// y[b, c] = bias[c] + sum over c's edges of w[edge] x[b, source(edge)].
// Forward: the edges of c are c * k .. c * k + k - 1 and source is the table.
// dx: c is an input, its edges come from the reverse table and source(edge) = edge / k.
enum class GeoDirection : uint8_t { forward, reverse };

// --- the tables on a GPU ----------------------------------------------------------------------
// How a kernel gets at x; docs/performance.md says what each costs.
//   windows: a block takes a chunk of targets; the sources they read, a window of x (cyclic), and
//            the chunk's edges lie in shared memory
//   rows:    whole rows of x lie in shared memory, edges are read from L2
//   direct:  x and edges are read from L2
enum class GeoLayout : uint8_t { windows, rows, direct };

constexpr int64_t geo_good_shared = 100 * 1024;  // two blocks share a multiprocessor
constexpr int64_t geo_bytes_per_input = 32;      // of a tile: 8 rows in f32, 16 in bf16
constexpr int64_t geo_bytes_per_edge = 8;        // in shared memory: weight and place
constexpr int64_t geo_threads = 256;             // of a block that gathers
constexpr int64_t geo_rows_chunk = 4096;         // targets of a block, layout rows

// Targets (outputs, or inputs for dx) of a chunk, a multiple of 32: about 4096 edges, 32 KiB.
constexpr int64_t geo_chunk(int64_t targets, int64_t k) {
  const int64_t by_edges = 4096 / k / 32 * 32, whole = (targets + 31) / 32 * 32;
  const int64_t chunk = by_edges < 32 ? 32 : by_edges < 512 ? by_edges : 512;
  return chunk < whole ? chunk : whole;
}

// What one direction of a table needs, in sources of x.
struct GeoSizes {
  int64_t n_x, edges, chunk;
  int64_t window, entries;           // of the chunk that has most
  int64_t windows, all_entries;      // of all chunks together
  int64_t most_shared = 227 * 1024;  // bytes a block may have; this: compute capability 9.0
};

constexpr int64_t geo_tiles_at_once(int64_t chunk) {  // each of 8 rows (f32) or 16 (bf16)
  return chunk < geo_threads ? geo_threads / chunk : 1;
}
constexpr int64_t geo_windows_shared(const GeoSizes& s) {
  return s.entries * geo_bytes_per_edge +
         geo_tiles_at_once(s.chunk) * s.window * geo_bytes_per_input;
}
// Windows, unless they fit badly or reading them costs more of L2 than whole rows and the edges (12
// bytes each, once per 8 rows) do.
constexpr GeoLayout geo_layout(const GeoSizes& s) {
  const bool cheap = 4 * s.windows <= 4 * s.n_x + 12 * s.edges / 8;
  const int64_t shared = geo_windows_shared(s);
  const bool good =
      shared <= geo_good_shared && shared <= s.most_shared && s.all_entries <= INT32_MAX;
  if (cheap && good) return GeoLayout::windows;
  const bool fits = s.n_x * geo_bytes_per_input <= s.most_shared;
  return fits ? GeoLayout::rows : GeoLayout::direct;
}

// From an edge of a target to its next: 32, so that a warp's targets lie side by side, or 1 where
// filling up each 32 targets to the one with most edges would double them.
constexpr int64_t geo_stride(const GeoSizes& s) {
  const bool dense = s.all_entries <= 2 * s.edges && s.all_entries <= INT32_MAX;
  return geo_layout(s) == GeoLayout::windows || dense ? 32 : 1;
}

// One direction: target c has edges number start[c] + i stride, i < degree[c], of source and edge.
struct GeoSide {
  GeoLayout layout;
  int32_t chunk, window, entries;  // as in GeoSizes
  int32_t most_shared;
  int32_t stride;         // as geo_stride says
  int32_t all_entries;    // of source and edge, fillers among them
  const int32_t* chunks;  // (chunks, 4): first source, sources, first entry, entries
  const int32_t* start;   // (targets)
  const int32_t* degree;  // (targets)
  const int32_t* source;
  const int32_t* edge;  // index into w; -1: filler
};

// The connectivity's tables on the thread's GPU, made at the first call, which waits. Throws if
// that is while a step is being recorded. Threads may share a connectivity.
GeoSide geo_tables_on_gpu(const Connectivity& connectivity, GeoDirection direction);

// --- kernels ----------------------------------------------------------------------------------
// Weights, bias and dw are f32, f64 beside f64.
struct GeoGatherArgs {
  GeoDirection direction;
  DType x_dtype, y_dtype;  // equal on the CPU
  const void* x;           // (rows, n_x)
  const void* w;           // (n_out, k)
  const void* bias;        // (n_y) or null
  void* y;                 // (rows, n_y)
  int64_t rows, n_x, n_y, k;
  const int32_t* table;           // forward: (n_out, k); this and the next five on the CPU
  const int32_t* reverse_start;   // reverse: (n_in + 1)
  const int32_t* reverse_edge;    // reverse: (n_out * k)
  const int32_t* reverse_source;  // reverse: (n_out * k)
  void* reverse_w;                // reverse: (n_out * k), for the weights in that order
  void* scratch;                  // (threads, n_x, 64)
  GeoSide side;                   // on a GPU
};
template <class D>
void geo_gather(D& device, const GeoGatherArgs& args);

// dw[o, j] = sum_b dy[b, o] x[b, table[o, j]], rows in fixed order.
struct GeoWeightArgs {
  DType x_dtype, dy_dtype;  // equal on the CPU
  const void* x;            // (rows, n_in)
  const void* dy;           // (rows, n_out)
  void* dw;                 // (n_out, k)
  void* db;                 // (n_out) = sum_b dy[b, o]; null: not wanted
  int64_t rows, n_in, n_out, k;
  const int32_t* table;  // this and the next two on the CPU
  void* scratch;         // (threads, n_in + n_out, 64)
  int64_t parts;         // of the rows, with sums of their own; depends on the shape alone
  void* partial;         // CPU: parts, GPU: slices if several, times n_out * (k + 1)
  GeoSide side;          // on a GPU, forward
};
template <class D>
void geo_weight_gradient(D& device, const GeoWeightArgs& args);

// The weight gradient on a GPU: a thread sums 8 edges of an output over the rows of a slice.
struct GeoSlices {
  int64_t count, rows;    // rows of a slice, a multiple of 16; the last may have fewer
  int64_t groups, parts;  // of 8 edges per output: groups in a block, blocks for all of them
};
constexpr GeoSlices geo_slices(int64_t rows, int64_t n_out, int64_t k) {
  const int64_t chunk = geo_chunk(n_out, k), of_output = (k + 7) / 8;
  const int64_t most = 512 / chunk, groups = of_output < most ? of_output : most;
  const int64_t parts = (of_output + groups - 1) / groups;
  const int64_t blocks = (n_out + chunk - 1) / chunk * parts;
  const int64_t wanted = blocks < 512 ? 512 / blocks : 1, by_rows = (rows + 63) / 64;
  const int64_t slices = by_rows < 1 ? 1 : wanted < by_rows ? wanted : by_rows;
  const int64_t of_slice = ((rows + slices - 1) / slices + 15) / 16 * 16;
  return {of_slice == 0 ? 1 : (rows + of_slice - 1) / of_slice, of_slice, groups, parts};
}

}  // namespace sinew
