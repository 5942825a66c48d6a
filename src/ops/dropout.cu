// Masks from Philox, the CPU's bit for bit. One decision per element: a thread draws four words for
// four neighbours. One decision for many elements: each thread draws that of its own element.
#include "ops/dropout.h"

#include "core/philox.h"
#include "cuda/kernel.h"

namespace sinew {
namespace {

__device__ __forceinline__ uint64_t counter_of(const int32_t* state) {
  return uint64_t{static_cast<uint32_t>(state[3])} << 32 | static_cast<uint32_t>(state[2]);
}

struct TakeTicket {
  TicketArgs a;
  __device__ void operator()(int64_t) const {
    for (int i = 0; i < 4; ++i) a.ticket[i] = a.state[i];
    const uint64_t counter = counter_of(a.state) + static_cast<uint64_t>(a.blocks);
    a.state[2] = static_cast<int32_t>(static_cast<uint32_t>(counter));
    a.state[3] = static_cast<int32_t>(static_cast<uint32_t>(counter >> 32));
  }
};

// The words of decisions 4 block ... 4 block + 3.
__device__ __forceinline__ PhiloxCounter draw(const int32_t* ticket, int64_t block) {
  const uint64_t counter = counter_of(ticket) + static_cast<uint64_t>(block);
  return philox({{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}},
                {{static_cast<uint32_t>(ticket[0]), static_cast<uint32_t>(ticket[1])}});
}

template <class T>
struct Dropout {
  const T* x;
  T* y;
  const int32_t* ticket;
  int64_t decisions, inner;
  float p, kept;
  __device__ void put(int64_t i, uint32_t word) const {
    y[i] = Store<T>::from(open_uniform(word) >= p ? widen(x[i]) * kept : 0.0f);
  }
};

template <class T>
struct PerElement : Dropout<T> {
  __device__ void operator()(int64_t block) const {
    const PhiloxCounter words = draw(this->ticket, block);
    for (int k = 0; k < 4 && 4 * block + k < this->decisions; ++k)
      this->put(4 * block + k, words.word[k]);
  }
};
template <class T>
struct PerRow : Dropout<T> {
  __device__ void operator()(int64_t i) const {
    const int64_t decision = i / this->inner;
    this->put(i, draw(this->ticket, decision / 4).word[decision % 4]);
  }
};

}  // namespace

template <>
void take_ticket(Cuda& device, const TicketArgs& args) {
  for_each(device, 1, TakeTicket{args});
}

template <>
void dropout(Cuda& device, const DropoutArgs& a) {
  by_storage_type(a.dtype, [&](auto storage) {
    using T = decltype(storage);
    const Dropout<T> common{static_cast<const T*>(a.x),
                            static_cast<T*>(a.y),
                            a.ticket,
                            a.decisions,
                            a.inner,
                            static_cast<float>(a.p),
                            static_cast<float>(1 / (1 - a.p))};
    if (a.inner == 1)
      for_each(device, (a.decisions + 3) / 4, PerElement<T>{common});
    else
      for_each(device, a.decisions * a.inner, PerRow<T>{common});
  });
}

}  // namespace sinew
