// A stack of blocks x + alpha keep fc2(act(fc1(norm(x)))), each way one kernel.
// Saved: per block x and z = fc1's output, as tiles; on the CPU, where that stays small, act(z) and
// its slope too. Gradients of parameters come as one vector per block. dalpha needs no pass over
// the rows:
//     dalpha = sum of dL/dout keep fc2(..) = <w2, dw2 / alpha> + <b2, db2 / alpha>.
// Higher orders: through the composed form.
#include "geo/geo_blocks.h"

#include <algorithm>

#include "core/dispatch.h"
#include "sinew/geo.h"
#include "sinew/tape.h"

namespace sinew {
namespace {

constexpr const char* op = "geo_blocks";
constexpr int64_t tensors_per_block = 11;            // with gradients, in the order below
constexpr int64_t values_limit = int64_t{32} << 20;  // bytes; above, the backward computes twice
constexpr int64_t most_parts = 16;                   // of the rows, with sums of their own

static_assert(static_cast<int>(BlockActivation::relu) == static_cast<int>(TileFunction::relu) &&
              static_cast<int>(BlockActivation::tanh) == static_cast<int>(TileFunction::tanh));

std::vector<Tensor> tensors(const Tensor& x, const std::vector<GeoBlockOperands>& blocks) {
  std::vector<Tensor> out{x};
  for (const GeoBlockOperands& b : blocks)
    for (const Tensor& t : {b.weight1, b.bias1, b.weight2, b.bias2, b.amplitude, b.frequency,
                            b.decay, b.phase, b.scale, b.shift, b.alpha})
      out.push_back(t);
  return out;
}

std::vector<GeoBlockOperands> blocks_of(const std::vector<Tensor>& t,
                                        const std::vector<GeoBlockOperands>& like) {
  std::vector<GeoBlockOperands> out;
  for (size_t i = 0, at = 1; i < like.size(); ++i, at += tensors_per_block)
    out.push_back({t[at + 10], t[at + 8], t[at + 9], t[at], t[at + 1], t[at + 2], t[at + 3],
                   t[at + 4], t[at + 5], t[at + 6], t[at + 7], like[i].keep, like[i].table});
  return out;
}

Tensor activated(const Tensor& z, const GeoBlockOperands& b, const GeoBlocksOptions& o,
                 DType y_dtype) {
  switch (o.activation) {
    case BlockActivation::relu: return relu(z);
    case BlockActivation::tanh: return tanh(z);
    default: break;
  }
  SineOptions narrowing = o.sine;
  narrowing.y_dtype = y_dtype;
  return sine(z, b.amplitude, b.frequency, b.decay, b.phase, narrowing);
}

Tensor composed(Tensor x, const std::vector<GeoBlockOperands>& blocks, const GeoBlocksOptions& o) {
  for (const GeoBlockOperands& b : blocks) {
    const Tensor h = b.shift.defined()   ? layer_norm(x, b.scale, b.shift, o.eps)
                     : b.scale.defined() ? rms_norm(x, b.scale, o.eps)
                                         : x;
    const DType z = o.activation == BlockActivation::sine ? arithmetic(x.dtype()) : x.dtype();
    const Tensor y = activated(geo_linear(h, b.weight1, b.bias1, b.table, z), b, o, x.dtype());
    Tensor branch = geo_linear(y, b.weight2, b.bias2, b.table);
    if (b.keep.defined()) {
      std::vector<int64_t> sizes(static_cast<size_t>(x.rank()), 1);
      sizes[0] = x.dim(0);
      branch = mul(branch, reshape(b.keep, Shape(sizes)));
    }
    x = add(x, mul(b.alpha, branch));
  }
  return x;
}

void require_vector(const Tensor& x, const Tensor& t, const Shape& shape, const char* what) {
  require_parameter(op, x, t);
  require(t.shape() == shape, op,
          std::string(what) + " " + t.shape().str() + " is not " + shape.str());
}

void check_block(const Tensor& x, const GeoBlockOperands& b, const GeoBlockOperands& first,
                 const GeoBlocksOptions& o) {
  require(b.table != nullptr, op, "no connectivity");
  const int64_t n = x.dim(-1), k = first.table->k;
  require(b.table->n_in == n && b.table->n_out == n, op,
          "the table is not " + std::to_string(n) + " x " + std::to_string(n) + " (" +
              std::to_string(b.table->n_out) + " x " + std::to_string(b.table->n_in) + ")");
  require(b.table->k == k, op,
          "blocks differ in k (" + std::to_string(k) + ", " + std::to_string(b.table->k) + ")");
  require(b.scale.defined() == first.scale.defined() && b.shift.defined() == first.shift.defined(),
          op, "blocks differ in their norm");
  require(b.scale.defined() || !b.shift.defined(), op, "a norm has a shift and no scale");
  require_vector(x, b.alpha, {1}, "alpha");
  require_vector(x, b.weight1, {n, k}, "weight1");
  require_vector(x, b.weight2, {n, k}, "weight2");
  for (const Tensor& t : {b.scale, b.shift, b.bias1, b.bias2})
    if (t.defined()) require_vector(x, t, {n}, "a norm or bias");
  if (o.activation == BlockActivation::sine) {
    for (const Tensor& t : {b.amplitude, b.frequency, b.decay})
      require_vector(x, t, {n}, "a sine parameter");
    if (b.phase.defined()) require_vector(x, b.phase, {n}, "a sine parameter");
  }
  if (b.keep.defined()) require_vector(x, b.keep, {x.dim(0)}, "keep");
}

void check(const Tensor& x, const std::vector<GeoBlockOperands>& blocks,
           const GeoBlocksOptions& o) {
  require_real(op, x);
  require(x.rank() >= 2, op, "x needs at least two axes " + x.shape().str());
  require(!o.sine.y_dtype, op, "the sine has a y_dtype");
  for (const Bounds& b : {o.sine.amplitude_bounds, o.sine.frequency_bounds, o.sine.decay_bounds})
    require(b.low <= b.high, op, "a low bound is above its high one");
  require(o.eps >= 0, op, "eps is negative (" + std::to_string(o.eps) + ")");
  for (const GeoBlockOperands& b : blocks) {
    require(blocks[0].table != nullptr, op, "no connectivity");
    check_block(x, b, blocks[0], o);
  }
  if (blocks.empty()) return;
  const int64_t n = x.dim(-1), k = blocks[0].table->k;
  require(geo_blocks_fit(n, k), op,
          "the gpu has no room for a tile of these blocks (n " + std::to_string(n) + ", k " +
              std::to_string(k) + ")");
}

GeoBlockPointers pointers(const GeoBlockOperands& b, const SineOptions& o) {
  const auto bound = [](const Bounds& limits) { return SineBound{limits.low, limits.high}; };
  GeoBlockPointers p{};
  p.alpha = pointer(b.alpha);
  p.scale = pointer(b.scale);
  p.shift = pointer(b.shift);
  p.w1 = pointer(b.weight1);
  p.w2 = pointer(b.weight2);
  p.b1 = pointer(b.bias1);
  p.b2 = pointer(b.bias2);
  p.keep = pointer(b.keep);
  p.sine = {pointer(b.amplitude),  pointer(b.frequency),      pointer(b.decay),
            pointer(b.phase),      bound(o.amplitude_bounds), bound(o.frequency_bounds),
            bound(o.decay_bounds), static_cast<int>(o.decay)};
  p.k = b.table->k;
  if (device() == Device::cuda) {
    p.forward = geo_tables_on_gpu(*b.table, GeoDirection::forward);
    p.reverse = geo_tables_on_gpu(*b.table, GeoDirection::reverse);
    return p;
  }
  p.table = b.table->table.data();
  p.reverse_start = b.table->reverse_start.data();
  p.reverse_edge = b.table->reverse_edge.data();
  p.reverse_source = b.table->reverse_source.data();
  return p;
}

// A stack and what its kernels' pointers lead to, kept by the closures that use them.
struct Stack {
  GeoBlocks args;
  std::vector<GeoBlockPointers> pointers;
  std::vector<SharedConnectivity> tables;
  Tensor saved, stats, ready, inputs;
};

void make_memory(Stack& s, bool saves) {
  GeoBlocks& a = s.args;
  a.width = a.rows > 32 ? 64 : 32;
  a.tiles = (a.rows + a.width - 1) / a.width;
  const int64_t plane = a.n * a.width, of_all = a.tiles * a.count * plane;
  a.keeps_values = saves && 4 * of_all * size_of(a.dtype) <= values_limit;
  s.ready = Tensor({a.count, geo_ready(a.n, a.k)}, a.dtype);
  if (!saves) return;
  s.saved = Tensor({(a.keeps_values ? 4 : 2) * of_all}, a.dtype);
  s.stats = Tensor({a.tiles * a.count * 2 * a.width}, a.dtype);
}

void make_gpu_memory(Stack& s, bool saves) {
  GeoBlocks& a = s.args;
  a.width = geo_blocks_width(a.rows, a.n);
  a.tiles = (a.rows + a.width - 1) / a.width;
  for (const GeoBlockPointers& b : s.pointers)
    a.entries = std::max<int64_t>({a.entries, b.forward.all_entries, b.reverse.all_entries});
  s.ready = Tensor({a.count, geo_blocks_ready(a.n, a.entries)}, DType::f32);
  if (!saves) return;
  s.saved = Tensor({a.count * a.tiles * a.width * a.n}, DType::f32);
  s.stats = Tensor({a.count * a.tiles * 2 * a.width}, DType::f32);
  s.inputs = Tensor({(a.count - 1) * a.rows * a.n}, a.dtype);
}

std::shared_ptr<Stack> make_stack(const Tensor& x, const std::vector<GeoBlockOperands>& blocks,
                                  const GeoBlocksOptions& o, bool saves) {
  auto s = std::make_shared<Stack>();
  for (const GeoBlockOperands& b : blocks) {
    s->pointers.push_back(pointers(b, o.sine));
    s->tables.push_back(b.table);
  }
  GeoBlocks& a = s->args;
  a.dtype = x.dtype();
  a.activation = static_cast<TileFunction>(o.activation);
  a.norm = blocks[0].shift.defined()   ? BlockNorm::layer
           : blocks[0].scale.defined() ? BlockNorm::rms
                                       : BlockNorm::none;
  a.eps = o.eps;
  a.blocks = s->pointers.data();
  a.count = static_cast<int64_t>(blocks.size());
  a.n = x.dim(-1);
  a.k = blocks[0].table->k;
  a.rows = x.numel() / a.n;
  a.rows_per_keep = x.dim(0) == 0 ? 1 : a.rows / x.dim(0);
  (device() == Device::cuda ? make_gpu_memory : make_memory)(*s, saves);
  a.ready = pointer(s->ready);
  a.saved = pointer(s->saved);
  a.stats = pointer(s->stats);
  a.inputs = pointer(s->inputs);
  return s;
}

Tensor scratch_of(const GeoBlocks& a) {
  if (device() == Device::cuda) return {};
  const int64_t threads = std::min<int64_t>(context().threads, a.tiles);
  return Tensor({threads * geo_scratch_planes * a.n * a.width}, a.dtype);
}

void backward(const std::shared_ptr<Stack>& stack, const std::vector<Tensor>& inputs,
              const Tensor& dy, Cotangents& dx) {
  GeoBlocksBackward args{};
  args.stack = stack->args;
  const GeoBlocks& a = args.stack;
  const GeoBlockGradients where = geo_block_gradients(a.n, a.k);
  const bool on_gpu = device() == Device::cuda;
  args.parts =
      on_gpu ? geo_blocks_slices(a.tiles, a.n, a.k) : std::clamp<int64_t>(a.tiles, 1, most_parts);
  const int64_t sums =
      on_gpu ? args.parts * geo_blocks_sums(a.n, a.entries) + a.count * (a.n * a.k + a.n)
             : args.parts * a.count * where.size;
  const DType type = arithmetic(a.dtype);
  const Tensor d({a.count, where.size}, type), scratch = scratch_of(a), partial({sums}, type);
  Tensor dx0;
  if (dx.needs(0) || on_gpu) dx0 = Tensor(dy.shape(), a.dtype);
  args.x = pointer(inputs[0]);
  args.dy = pointer(dy);
  args.dx = pointer(dx0);
  args.d = pointer(d);
  args.partial = pointer(partial);
  args.stack.scratch = pointer(scratch);
  on(d, [args, stack](auto& device) { geo_blocks_backward(device, args); });
  if (dx.needs(0)) dx.add(0, dx0);
  const int64_t at[tensors_per_block] = {where.w1,
                                         where.b1,
                                         where.w2,
                                         where.b2,
                                         where.sine,
                                         where.sine + a.n,
                                         where.sine + 2 * a.n,
                                         where.sine + 3 * a.n,
                                         where.scale,
                                         where.shift,
                                         where.alpha};
  for (int64_t i = 0; i < a.count; ++i)
    for (int64_t t = 0; t < tensors_per_block; ++t) {
      const auto input = static_cast<int>(1 + i * tensors_per_block + t);
      if (dx.needs(input))
        dx.add(input, d.view(i * where.size + at[t], inputs[static_cast<size_t>(input)].shape()));
    }
}

}  // namespace

bool geo_blocks_fit(int64_t n, int64_t k) {
  return device() != Device::cuda || geo_blocks_fit(n, k, cuda_info().shared_memory);
}

Tensor geo_blocks(const Tensor& x, const std::vector<GeoBlockOperands>& blocks,
                  const GeoBlocksOptions& options) {
  check(x, blocks, options);
  if (blocks.empty()) return x;
  const std::vector<Tensor> inputs = tensors(x, blocks);
  const Tape* tape = Tape::active();
  const bool saves = tape && std::any_of(inputs.begin(), inputs.end(),
                                         [&](const Tensor& t) { return tape->tracks(t); });
  const auto stack = make_stack(x, blocks, options, saves);
  Tensor y(x.shape(), x.dtype());
  const Tensor scratch = scratch_of(stack->args);
  GeoBlocksForward args{stack->args, pointer(x), pointer(y)};
  args.stack.scratch = pointer(scratch);
  on(y, [args, stack](auto& device) { geo_blocks(device, args); });
  record(y, inputs, [=](const Tensor& dy, Cotangents& dx) {
    if (!Tape::active()) return backward(stack, inputs, dy, dx);
    const auto f = [=](const std::vector<Tensor>& t) {
      return composed(t[0], blocks_of(t, blocks), options);
    };
    const std::vector<Tensor> g = composed_gradients(f, inputs, dy);
    for (size_t i = 0; i < g.size(); ++i)
      if (dx.needs(static_cast<int>(i))) dx.add(static_cast<int>(i), g[i]);
  });
  return y;
}

}  // namespace sinew
