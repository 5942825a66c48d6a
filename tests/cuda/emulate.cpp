// The emulated kernel language: results of kernels whatever the order of threads, and the faults
// that must be caught.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <thread>

#include "cuda/device_array.h"
#include "cuda/kernels.h"

using namespace sinew;
using namespace sinew::test;

namespace {

std::vector<float> numbers(size_t n) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> range(-1, 1);
  std::vector<float> x(n);
  for (float& v : x) v = range(random);
  return x;
}
std::vector<int> integers(size_t n) {
  std::mt19937 random(11);
  std::vector<int> x(n);
  for (int& v : x) v = static_cast<int>(random() % 200) - 100;
  return x;
}

// The block sum's own order of additions, so that results are equal bits.
std::vector<float> block_sums(const std::vector<float>& x) {
  std::vector<float> sums;
  for (size_t block = 0; block < x.size(); block += 256) {
    std::vector<float> v(x.begin() + block, x.begin() + block + 256);
    float partial[32] = {};
    for (int warp = 0; warp < 8; ++warp) {
      float* lane = v.data() + 32 * warp;
      for (int step = 16; step > 0; step /= 2)
        for (int i = 0; i < step; ++i) lane[i] += lane[i + step];
      partial[warp] = lane[0];
    }
    for (int step = 4; step > 0; step /= 2)
      for (int i = 0; i < step; ++i) partial[i] += partial[i + step];
    sums.push_back(partial[0]);
  }
  return sums;
}

std::vector<float> device_sums(const std::vector<float>& x, Fault fault) {
  DeviceArray<float> in(x), out(x.size() / 256);
  block_sum(in.data(), out.data(), static_cast<int>(x.size() / 256), fault);
  return out.host();
}

struct Seed {  // for one test
  explicit Seed(uint64_t value) : former(emulate::seed(value)) {}
  ~Seed() { emulate::seed(former); }
  uint64_t former;
};

std::string error_of(void (*call)()) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("emulate: vector add at odd sizes") {
  for (int n : {1, 31, 33, 4097}) {
    const auto x = numbers(n);
    const DeviceArray<float> dx(x), dz(n);
    add(dx.data(), dx.data(), dz.data(), n);
    const auto z = dz.host();
    for (int i = 0; i < n; ++i) REQUIRE(z[i] == x[i] + x[i]);
  }
}

TEST_CASE("emulate: block sum is the same for every order; a missing barrier shows") {
  const auto x = numbers(16 * 256);
  const auto expected = block_sums(x);
  int wrong = 0;
  for (uint64_t s : {1, 2, 3}) {
    const Seed seed(s);
    CHECK(device_sums(x, Fault::none) == expected);
    wrong += device_sums(x, Fault::missing_barrier) != expected;
  }
  CHECK(wrong == 3);
}

TEST_CASE("emulate: barriers, static and dynamic shared memory") {
  const int blocks = 3, steps = 11;
  const auto x = integers(blocks * 256);
  DeviceArray<int> in(x), out(x.size());
  pass_round(in.data(), out.data(), blocks, steps);
  const auto y = out.host();
  for (int i = 0; i < blocks * 256; ++i) REQUIRE(y[i] == x[i / 256 * 256 + (i + steps) % 256]);

  const int rows = 45, columns = 70;
  const auto a = numbers(rows * columns);
  DeviceArray<float> da(a), db(a.size());
  transpose(da.data(), db.data(), rows, columns);
  const auto b = db.host();
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) REQUIRE(b[j * rows + i] == a[i * columns + j]);

  reverse(in.data(), out.data(), 500, 500 * sizeof(int));
  const auto reversed = out.host();
  CHECK(std::equal(reversed.begin(), reversed.begin() + 500, x.rend() - 500));
}

TEST_CASE("emulate: the order of threads and blocks follows the seed") {
  const auto ranks = [](uint64_t s) {
    const Seed seed(s);
    DeviceArray<unsigned> counter(std::vector<unsigned>{0});
    DeviceArray<int> out(5 * 64);
    order(counter.data(), out.data(), 5, 64);
    return out.host();
  };
  const char* set = std::getenv("SINEW_EMULATE_SEED");
  CHECK(Seed(1).former == (set ? std::strtoull(set, nullptr, 10) : 1));
  const auto first = ranks(1);
  CHECK(first == ranks(1));
  CHECK(first != ranks(2));
  auto sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 5 * 64; ++i) REQUIRE(sorted[i] == i);
  CHECK(sorted != first);
}

TEST_CASE("emulate: atomics") {
  const auto x = integers(1000);
  DeviceArray<int> in(x), histogram(std::vector<int>(8)), extremes({-1000, 1000, 0});
  DeviceArray<float> sum(std::vector<float>{0});
  DeviceArray<unsigned long long> wide(std::vector<unsigned long long>{1, 0, 0});
  atomics(in.data(), 1000, histogram.data(), extremes.data(), sum.data(), wide.data());
  std::vector<int> counts(8);
  int any = 0;
  for (int v : x) {
    ++counts[v & 7];
    any |= v;
  }
  CHECK(histogram.host() == counts);
  CHECK(extremes.host() == std::vector<int>{*std::max_element(x.begin(), x.end()),
                                            *std::min_element(x.begin(), x.end()), any});
  CHECK(sum.host()[0] == 500.0f);
  CHECK(wide.host() == std::vector<unsigned long long>{(1000ull << 33) + 1, 3000, 7});
}

TEST_CASE("emulate: votes, shuffles and reductions of a warp") {
  const int threads = 96;
  const auto x = integers(threads);
  DeviceArray<int> in(x), out(threads * vote_words);
  votes(in.data(), out.data(), threads);
  const auto results = out.host();
  const auto positive = std::count_if(x.begin(), x.end(), [](int v) { return v > 0; });
  const auto over = [](int limit) { return [limit](int v) { return v > limit; }; };
  for (int t = 0; t < threads; ++t) {
    const int *warp = &x[t & ~31], lane = t % 32, *r = &results[t * vote_words];
    unsigned ballot = 0;
    for (int i = 0; i < 32; ++i) ballot |= static_cast<unsigned>(warp[i] > 0) << i;
    const int expected[vote_words] = {
        static_cast<int>(ballot),
        std::any_of(warp, warp + 32, over(90)),
        std::all_of(warp, warp + 32, over(-50)),
        warp[5],
        warp[(lane & ~7) + 3],
        warp[lane < 3 ? lane : lane - 3],
        warp[lane % 16 < 3 ? lane : lane - 3],
        warp[lane % 16 + 9 < 16 ? lane + 9 : lane],
        warp[lane ^ 17],
        warp[(lane ^ 9) <= (lane | 7) ? lane ^ 9 : lane],
        std::accumulate(warp, warp + 32, 0),
        *std::max_element(warp, warp + 32),
        *std::min_element(warp, warp + 32),
        static_cast<int>(positive),
        std::any_of(x.begin(), x.end(), over(90)),
        std::all_of(x.begin(), x.end(), over(-50)),
        lane < 16 ? warp[lane] + warp[lane ^ 1] : warp[lane] - warp[lane ^ 2],
        1};
    CAPTURE(t);
    for (int i = 0; i < vote_words; ++i) {
      CAPTURE(i);
      CHECK(r[i] == expected[i]);
    }
  }
}

// The nearer of the two neighbours, by exact arithmetic in double; the even one of two as near.
TEST_CASE("emulate: bf16 rounds to nearest even, NaN stays NaN") {
  const auto value = [](uint32_t bits) {  // 2^128 for infinity
    const int exponent = bits >> 7 & 255;
    const double mantissa = (bits & 127) + (exponent ? 128 : 0);
    return std::ldexp(mantissa, (exponent ? exponent : 1) - 134) * (bits & 0x8000 ? -1 : 1);
  };
  std::vector<float> x;
  for (uint32_t high = 0; high < 0x10000; ++high)
    for (uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const uint32_t word = high << 16 | low;
      x.emplace_back();
      std::memcpy(&x.back(), &word, 4);
    }
  DeviceArray<float> in(x), back(x.size());
  DeviceArray<unsigned short> out(x.size());
  round_bf16(in.data(), out.data(), back.data(), static_cast<int>(x.size()));
  const auto bits = out.host();
  const auto widened = back.host();
  int wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      wrong += bits[i] != 0x7fff || !std::isnan(widened[i]);
      continue;
    }
    uint32_t word;
    std::memcpy(&word, &x[i], 4);
    const uint32_t down = word >> 16, up = std::isinf(x[i]) ? down : down + 1;
    const double exact = std::isinf(x[i]) ? value(down) : x[i];
    const double to_down = std::abs(exact - value(down)), to_up = std::abs(exact - value(up));
    const uint32_t nearest = to_down < to_up ? down : to_up < to_down ? up : down + (down & 1);
    const float expected = static_cast<float>(value(nearest));
    wrong += bits[i] != (std::isinf(x[i]) ? down : nearest) || widened[i] != expected;
  }
  CHECK(wrong == 0);

  DeviceArray<float> pairs(x.size());
  pairs_bf16(in.data(), pairs.data(), static_cast<int>(x.size()));
  const auto both = pairs.host();
  CHECK(std::memcmp(both.data(), widened.data(), x.size() * sizeof(float)) == 0);
}

TEST_CASE("emulate: functions of the device library") {
  const std::vector<float> x{0.25f, 1.0f, 2.5f, 9.0f};
  DeviceArray<float> in(x), out(x.size() * function_count);
  functions(in.data(), out.data(), static_cast<int>(x.size()));
  const auto y = out.host();
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const double expected[function_count] = {std::sin(v),          std::cos(v), 1 / std::sqrt(v),
                                             std::exp(v),          v * v - 1,   1 / v,
                                             std::max(v, 2.0) + 3, -v,          1,
                                             std::min(v, 1.0)};
    for (int k = 0; k < function_count; ++k)
      CHECK(y[i * function_count + k] == doctest::Approx(expected[k]).epsilon(1e-6));
  }
}

TEST_CASE("emulate: launches of several host threads take turns") {
  const auto x = numbers(4 * 256);
  const auto expected = block_sums(x);
  std::vector<int> right(4);
  std::vector<std::thread> threads;
  for (int& count : right)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) count += device_sums(x, Fault::none) == expected;
    });
  for (std::thread& t : threads) t.join();
  CHECK(right == std::vector<int>(4, 5));
}

TEST_CASE("emulate: threads that exited are not waited for") {
  DeviceArray<int> counts(40);
  early_exit(counts.data(), 40, 64);
  const auto result = counts.host();
  // Lanes 31 and 39: the first has no lane above and gets its own value, the second reads an
  // exited lane.
  for (int t = 0; t < 40; ++t) CHECK(result[t] == (t == 39 ? 1040 : 40));
}

TEST_CASE("emulate: a barrier or mask that cannot be met is an error with block and threads") {
  const Seed seed(1);
  const auto divergent = error_of([] { divergent_barrier(64); });
  CHECK(divergent.find("launch: unspecified launch failure (block (") == 0);
  CHECK(divergent.find("waits in __syncthreads at kernels.cu:") != std::string::npos);
  CHECK(divergent.find("a barrier is one line of source for all") != std::string::npos);
  const auto lonely = error_of(lonely_barrier);
  CHECK(lonely.find("thread (0, 0, 0) waits in __syncthreads at") != std::string::npos);
  CHECK(lonely.find("waits in __syncwarp with mask 0xffffffff at") != std::string::npos);
  CHECK(lonely.find("no thread can go on") != std::string::npos);
  CHECK(error_of(unmet_mask).find("no thread can go on") != std::string::npos);
  CHECK(error_of(foreign_mask).find("the mask lacks its own lane") != std::string::npos);
  CHECK(error_of(trap).find("thread (2, 0, 0) is in __trap at kernels.cu:") != std::string::npos);

  const auto x = numbers(256);  // and the device works on
  CHECK(device_sums(x, Fault::none) == block_sums(x));
}
