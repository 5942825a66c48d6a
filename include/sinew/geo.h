// Geometric sparse layers: which inputs each output reads (connectivity).
//
// Cells of an H x W grid are numbered row by row, cell = row * W + column. Every output reads
// exactly k inputs; an input may occur several times among them.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sinew/ops.h"
#include "sinew/random.h"
#include "sinew/tensor.h"

namespace sinew {

// --- connectivity ---------------------------------------------------------------------------
enum class Pattern : uint8_t { local, random, hash };
enum class WrapMode : uint8_t { clamp, wrap };
enum class OffsetOrder : uint8_t { reference, distance };

// From text, in any case; throw for an unknown name.
Pattern parse_pattern(const std::string& text);           // "local", "random", "hash"
WrapMode parse_wrap_mode(const std::string& text);        // "clamp", "wrap"
OffsetOrder parse_offset_order(const std::string& text);  // "reference", "distance"

// An output's candidates are the cells at `offsets` (row, column) from it, in order; without
// offsets those of the window of `radius`, row by row. Outside the grid, clamp takes the nearest
// border cell and wrap the opposite side, so that a candidate can occur several times.
//   local:  the first k candidates, starting over when there are fewer
//   random: k draws from one stream for the whole table
//   hash:   k draws from a stream of each output's own, of seed + (output + 1) * 1000003
// Without repeats, candidates are made unique, and the draws become the head of a permutation.
struct ConnectivityOptions {
  std::vector<int64_t> shape = {};  // {H, W}
  int64_t k = 0;                    // inputs of an output
  Pattern pattern = Pattern::local;
  std::optional<int64_t> radius = 1;  // none: the smallest with k different candidates everywhere
  std::optional<std::vector<std::vector<int64_t>>> offsets = std::nullopt;  // {{row, column}, ...}
  WrapMode wrap_mode = WrapMode::clamp;
  std::optional<int64_t> seed = std::nullopt;  // none: random draws from `global`, hash takes 0
  // False drops the offset (0, 0); clamp and wrap may still lead back to the cell itself.
  bool include_self = true;
  bool allow_repeats = true;
  // Beyond the reference. Distance: the nearest offsets first, equally near ones in their order.
  OffsetOrder offset_order = OffsetOrder::reference;
  // k different inputs: no repeats, without include_self never the cell itself, and the window
  // grows from `radius` until every cell has k different candidates.
  bool distinct = false;
  int64_t dilation = 1;  // multiplies every offset
};

// An index table and its reverse. Built by the functions below and never changed; layers share it,
// in several threads too.
struct Connectivity {
  int64_t n_in = 0;
  int64_t n_out = 0;
  int64_t k = 0;
  std::vector<int32_t> table;           // (n_out, k): the inputs of each output
  std::vector<int32_t> reverse_start;   // (n_in + 1): where each input's edges start
  std::vector<int32_t> reverse_edge;    // (n_out * k): edges o * k + j that read it, ascending
  std::vector<int32_t> reverse_source;  // (n_out * k): their outputs, reverse_edge / k
  mutable std::shared_ptr<const struct GeoTables> on_gpu = nullptr;  // made by the first use there
};
using SharedConnectivity = std::shared_ptr<const Connectivity>;

// The table of a grid: n_in = n_out = H * W. Throws for options out of range, and where repeats
// are not allowed if a cell has fewer than k different candidates. Only random without a seed
// draws from `global`; the form without `global` throws there.
SharedConnectivity make_connectivity(const ConnectivityOptions& options, TorchGenerator& global);
SharedConnectivity make_connectivity(const ConnectivityOptions& options);

// A given table (n_out, k) of inputs in [0, n_in). Throws for sizes below 1, a wrong number of
// entries, or an entry out of range.
SharedConnectivity make_connectivity(int64_t n_in, int64_t n_out, int64_t k,
                                     std::vector<int32_t> table);

struct EdgeList {
  std::vector<int64_t> src;
  std::vector<int64_t> dst;
};
// The table as a list of edges: src = table row by row, dst = each output k times.
EdgeList edge_list(const Connectivity& connectivity);

// --- the sparse layer -------------------------------------------------------------------------
// y[b, o] = bias[o] + sum_j weight[o, j] x[b, table[o, j]]
// x (..., n_in) of rank >= 2, weight (n_out, k), bias (n_out) or undefined -> (..., n_out). Inputs
// that a table row names twice have independent weights that add up. Memory O(B n): the gathered
// (B, n, k) values are never stored. Deterministic; differentiable to any order.
// On cuda x is f32 or bf16, weight and bias are f32, and y has x's type or `y_dtype`, f32 or bf16:
// bf16 activations can give phases of a sine in f32. On the CPU all are f32 or all f64.
// A connectivity's first use on cuda copies its tables there; while a step is being recorded it
// throws.
Tensor geo_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const SharedConnectivity& connectivity, std::optional<DType> y_dtype = {});

// --- residual blocks, fused -------------------------------------------------------------------
// A block is x + alpha keep fc2(act(fc1(norm(x)))), with
//   norm        layer_norm if scale and shift are defined, rms_norm if scale alone is, else none
//   fc1, fc2    geo_linear by `table` (n -> n)
//   act         `sine` with the raw vectors amplitude, frequency, decay and phase, relu or tanh
//   keep        a factor per index of the leading axis of x (drop path: 0 or 1 / (1 - p)), or
//               undefined; it has no gradient, and 0 times a branch that is not finite is NaN
// Shapes: alpha (1); scale, shift, biases and raw vectors (n); weights (n, k). Shift, biases, phase
// may be undefined.
struct GeoBlockOperands {
  Tensor alpha, scale, shift, weight1, bias1, weight2, bias2;
  Tensor amplitude, frequency, decay, phase;
  Tensor keep;
  SharedConnectivity table;
};
enum class BlockActivation : uint8_t { sine, relu, tanh };
struct GeoBlocksOptions {
  BlockActivation activation = BlockActivation::sine;
  SineOptions sine;   // without y_dtype
  double eps = 1e-6;  // of the norm
};
// x (..., n) through all blocks, which have the same k, activation and kind of norm: the same
// function as that composition of ops, but for rounding (relative to the largest of a feature's sum
// and its bias). Differentiable to second order. On the CPU, f32 or f64, in one kernel each way: a
// tile of rows passes through all blocks while it is in the cache. Memory for the backward: four
// times x per block while that is at most 32 MiB for all, else twice.
// On cuda, one kernel per block forward and two backward; x is f32 or bf16, all else, and what
// happens between a block's x and its output, f32. Memory for the backward: x and an f32 per block.
Tensor geo_blocks(const Tensor& x, const std::vector<GeoBlockOperands>& blocks,
                  const GeoBlocksOptions& options = {});

// Whether geo_blocks takes blocks of n features with k inputs each on the thread's device: on cuda
// 4 rows of two planes (n) lie in shared memory, and sums of all weights in the L2. Else it throws.
bool geo_blocks_fit(int64_t n, int64_t k);

}  // namespace sinew
