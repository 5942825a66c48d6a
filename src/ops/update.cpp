// In-place optimizer updates of flat blocks (p, g, m, v: vectors of one length and dtype).
// Adam: Kingma and Ba, "Adam", ICLR 2015; decoupled decay: Loshchilov and Hutter, "Decoupled Weight
// Decay Regularization", ICLR 2019. SGD with momentum as in PyTorch: v = momentum v + g, p -= lr v.
// Nothing is recorded on a tape.
#include "ops/update.h"

#include "core/dispatch.h"
#include "sinew/ops.h"

namespace sinew {
namespace {

void require_parameter(const char* op, const char* what, const Tensor& t) {
  require_real(op, t);
  require(t.dtype() == arithmetic(t.dtype()), op,
          std::string(what) + " is " + name(t.dtype()) + "; parameters and gradients are f32");
}

void require_like(const char* op, const char* what, const Tensor& t, const Tensor& p) {
  require_defined(op, t);
  require(t.shape() == p.shape() && t.dtype() == p.dtype(), op,
          std::string(what) + " is " + name(t.dtype()) + " " + t.shape().str() + " for p " +
              name(p.dtype()) + " " + p.shape().str());
}

double* clock_pointer(const char* op, const Tensor& clock) {
  require_defined(op, clock);
  require(clock.dtype() == DType::f64 && clock.shape() == Shape{2}, op,
          std::string("clock is not f64 [2] (") + name(clock.dtype()) + " " + clock.shape().str() +
              ")");
  return static_cast<double*>(pointer(clock));
}

const double* go_pointer(const char* op, const Tensor& go) {
  if (!go.defined()) return nullptr;
  require(go.dtype() == DType::f64 && go.numel() == 1, op,
          std::string("go is not one f64 (") + name(go.dtype()) + " " + go.shape().str() + ")");
  return static_cast<const double*>(pointer(go));
}

}  // namespace

void adam_update(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, Tensor& clock,
                 const AdamSettings& s) {
  require_parameter("adam_update", "p", p);
  require_like("adam_update", "g", g, p);
  require_like("adam_update", "m", m, p);
  require_like("adam_update", "v", v, p);
  const AdamArgs args{p.dtype(),
                      pointer(p),
                      pointer(g),
                      pointer(m),
                      pointer(v),
                      clock_pointer("adam_update", clock),
                      p.numel(),
                      s.beta1,
                      s.beta2,
                      s.eps,
                      s.decay,
                      s.decoupled_decay,
                      go_pointer("adam_update", s.go)};
  on(p, [=](auto& device) { adam(device, args); });
}

void sgd_update(Tensor& p, const Tensor& g, Tensor& velocity, Tensor& clock, const SgdSettings& s) {
  require_parameter("sgd_update", "p", p);
  require_like("sgd_update", "g", g, p);
  if (velocity.defined()) require_like("sgd_update", "velocity", velocity, p);
  const SgdArgs args{p.dtype(),
                     pointer(p),
                     pointer(g),
                     pointer(velocity),
                     clock_pointer("sgd_update", clock),
                     p.numel(),
                     s.momentum,
                     s.decay,
                     go_pointer("sgd_update", s.go)};
  on(p, [=](auto& device) { sgd(device, args); });
}

void clip_update(Tensor& g, const Tensor& norm, double max_norm) {
  require_parameter("clip_update", "g", g);
  require_defined("clip_update", norm);
  require_same_dtype("clip_update", g, norm);
  require(norm.numel() == 1, "clip_update", "norm has not one element " + norm.shape().str());
  const ClipArgs args{g.dtype(), pointer(g), pointer(norm), g.numel(), max_norm};
  on(g, [=](auto& device) { clip(device, args); });
}

void tally_update(Tensor& tally, const Tensor& loss, const Tensor& norm, int64_t rows,
                  OnNonfinite choice) {
  require_parameter("tally_update", "loss", loss);
  require_defined("tally_update", norm);
  require_defined("tally_update", tally);
  require_same_dtype("tally_update", loss, norm);
  require(
      loss.numel() == 1 && norm.numel() == 1, "tally_update",
      "loss and norm have not one element each " + loss.shape().str() + " " + norm.shape().str());
  require(tally.dtype() == DType::f64 && tally.shape() == Shape{tally_words}, "tally_update",
          std::string("tally is not f64 [9] (") + name(tally.dtype()) + " " + tally.shape().str() +
              ")");
  const TallyArgs args{loss.dtype(),
                       static_cast<Tally*>(pointer(tally)),
                       pointer(loss),
                       pointer(norm),
                       static_cast<double>(rows),
                       choice == OnNonfinite::stop,
                       choice == OnNonfinite::ignore};
  on(loss, [=](auto& device) { sinew::tally(device, args); });
}

void pack(Tensor& flat, const std::vector<Tensor>& parts) {
  require_parameter("pack", "flat", flat);
  require(flat.rank() == 1, "pack", "flat is not a vector: " + flat.shape().str());
  std::vector<Part> list;
  int64_t first = 0;
  for (const Tensor& part : parts) {
    require_defined("pack", part);
    require_same_dtype("pack", flat, part);
    const int64_t size = size_of(part.dtype());
    if (part.numel() > 0) list.push_back({pointer(part), first * size, part.numel() * size});
    first += part.numel();
  }
  require(first == flat.numel(), "pack",
          std::to_string(first) + " elements for " + flat.shape().str());
  void* y = pointer(flat);
  on(flat, [y, list = std::move(list)](auto& device) {
    sinew::pack(device, {y, list.data(), static_cast<int>(list.size())});
  });
}

}  // namespace sinew
