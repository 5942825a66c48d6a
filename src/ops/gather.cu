// gather: one word of 1, 2, 4 or 16 bytes per thread. scatter_add: no atomics. The keys (index, i)
// are sorted, so that the entries of a row stand together in the order of i; then one thread per
// element of y finds its row's first by bisection and adds them. Cost: a bitonic sort of
// P = scatter_keys(count) keys, P log(P)^2 / 4 comparisons whatever the index, then rows row
// log(count) + count row reads; a row that occurs often is one thread's loop per column.
// Out of range: as in gather.cpu.cpp. Batcher, "Sorting networks and their applications", 1968.
#include "ops/gather.h"

#include "cuda/kernel.h"

namespace sinew {
namespace {

template <class Word>
struct Gather {
  GatherArgs a;
  int64_t words;  // per row
  __device__ void operator()(int64_t i) const {
    const int64_t to = i / words, at = i % words, row = a.index[to];
    Word* y = static_cast<Word*>(a.y) + i;
    if (row >= 0 && row < a.rows)
      *y = static_cast<const Word*>(a.x)[row * words + at];
    else
      memset(y, 0xFF, sizeof(Word));
  }
};

template <class Word>
void gather_words(const Cuda& device, const GatherArgs& a) {
  const int64_t words = a.row_bytes / static_cast<int64_t>(sizeof(Word));
  for_each(device, a.count * words, Gather<Word>{a, words});
}

using Key = unsigned long long;  // 31 bits of index, 33 of i
constexpr int shift = 33;
constexpr Key none = ~Key{0};  // after every row

struct MakeKeys {
  const int32_t* index;
  Key* keys;
  int64_t count;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i < count ? index[i] : -1;
    keys[i] = row < 0 ? none : static_cast<Key>(row) << shift | static_cast<Key>(i);
  }
};

// Pair i of neighbours at distance `gap`, put in ascending order where bit `run` of their place is
// 0, else in descending order.
__device__ __forceinline__ void order(Key* keys, int64_t i, int64_t place, int64_t gap,
                                      int64_t run) {
  const int64_t low = i + (i & -gap);
  const Key a = keys[low], b = keys[low + gap];
  if ((a > b) == (((place + low) & run) == 0)) {
    keys[low] = b;
    keys[low + gap] = a;
  }
}

struct Merge {
  Key* keys;
  int64_t gap, run;
  __device__ void operator()(int64_t i) const { order(keys, i, 0, gap, run); }
};

static_assert(scatter_tile == 2 * threads_per_block,
              "a thread orders one pair of its block's tile");

// All that stays within tiles of scatter_tile keys, for runs from `first` to `last`.
__global__ void __launch_bounds__(threads_per_block)
    sort_tiles(Key* keys, int64_t first, int64_t last) {
  __shared__ Key tile[scatter_tile];
  const int64_t place = int64_t{blockIdx.x} * scatter_tile, i = threadIdx.x;
  tile[i] = keys[place + i];
  tile[i + threads_per_block] = keys[place + i + threads_per_block];
  for (int64_t run = first; run <= last; run *= 2)
    for (int64_t gap = run < scatter_tile ? run / 2 : scatter_tile / 2; gap > 0; gap /= 2) {
      __syncthreads();
      order(tile, i, place, gap, run);
    }
  __syncthreads();
  keys[place + i] = tile[i];
  keys[place + i + threads_per_block] = tile[i + threads_per_block];
}

// `keys` ascending; size: a power of two, at least scatter_tile.
void sort(const Cuda& device, Key* keys, int64_t size) {
  const auto within_tiles = [&](int64_t first, int64_t last) {
    launch(sort_tiles, static_cast<unsigned>(size / scatter_tile), threads_per_block, 0,
           stream_of(device), keys, first, last);
  };
  within_tiles(2, scatter_tile);
  for (int64_t run = 2 * scatter_tile; run <= size; run *= 2) {
    for (int64_t gap = run / 2; gap >= scatter_tile; gap /= 2)
      for_each(device, size / 2, Merge{keys, gap, run});
    within_tiles(run, run);
  }
}

template <class T>
struct SumRows {
  ScatterArgs a;
  __device__ void operator()(int64_t i) const {
    const Key* keys = static_cast<const Key*>(a.keys);
    const int64_t row = i / a.row, column = i % a.row;
    int64_t first = 0, end = a.count;  // the first key that is not below the row
    while (first < end) {
      const int64_t middle = (first + end) / 2;
      if (static_cast<int64_t>(keys[middle] >> shift) < row)
        first = middle + 1;
      else
        end = middle;
    }
    float sum = 0;
    for (; first < a.count; ++first) {
      const Key key = keys[first];
      if (key == none || static_cast<int64_t>(key >> shift) != row) break;
      const auto entry = static_cast<int64_t>(key & ((Key{1} << shift) - 1));
      sum += widen(static_cast<const T*>(a.x)[entry * a.row + column]);
    }
    static_cast<T*>(a.y)[i] = Store<T>::from(sum);
  }
};

}  // namespace

template <>
void gather(Cuda& device, const GatherArgs& a) {
  const auto places = reinterpret_cast<uintptr_t>(a.x) | reinterpret_cast<uintptr_t>(a.y) |
                      static_cast<uintptr_t>(a.row_bytes);
  if (places % 16 == 0) return gather_words<uint4>(device, a);
  if (places % 4 == 0) return gather_words<uint32_t>(device, a);
  if (places % 2 == 0) return gather_words<uint16_t>(device, a);
  gather_words<uint8_t>(device, a);
}

template <>
void scatter_add(Cuda& device, const ScatterArgs& a) {
  Key* keys = static_cast<Key*>(a.keys);
  const int64_t size = scatter_keys(a.count), elements = a.rows * a.row;
  if (elements == 0) return;
  for_each(device, size, MakeKeys{a.index, keys, a.count});
  if (a.count > 0) sort(device, keys, size);
  by_storage_type(a.dtype,
                  [&](auto storage) { for_each(device, elements, SumRows<decltype(storage)>{a}); });
}

}  // namespace sinew
