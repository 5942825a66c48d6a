// Tables of the reference implementation, every error, and the extensions by their properties.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "sinew/error.h"
#include "sinew/geo.h"

using namespace sinew;
using Ints = std::vector<int32_t>;
using Options = ConnectivityOptions;

namespace {

Ints row(const SharedConnectivity& c, int64_t o) {
  return Ints(c->table.begin() + o * c->k, c->table.begin() + (o + 1) * c->k);
}

Ints row(const Options& options, int64_t o) { return row(make_connectivity(options), o); }

int64_t different(Ints inputs) {
  return static_cast<int64_t>(std::set<int32_t>(inputs.begin(), inputs.end()).size());
}

void check_error(const Options& options, const char* message) {
  CHECK_THROWS_WITH_AS(make_connectivity(options), message, Error);
}

bool possible(const Options& options) {
  try {
    make_connectivity(options);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("connectivity: local, reference tables") {
  const Options square{.shape = {4, 4}, .k = 8};
  CHECK(row(square, 0) == Ints{0, 0, 1, 0, 0, 1, 4, 4});
  CHECK(row(square, 5) == Ints{0, 1, 2, 4, 5, 6, 8, 9});
  CHECK(row({.shape = {3, 3}, .k = 9, .wrap_mode = WrapMode::wrap}, 0) ==
        Ints{8, 6, 7, 2, 0, 1, 5, 3, 4});
  const Options wrapped{.shape = {3, 4}, .k = 6, .wrap_mode = WrapMode::wrap};
  CHECK(row(wrapped, 0) == Ints{11, 8, 9, 3, 0, 1});
  CHECK(row(wrapped, 5) == Ints{0, 1, 2, 4, 5, 6});
  CHECK(row(wrapped, 11) == Ints{6, 7, 4, 10, 11, 8});
  CHECK(row({.shape = {3, 4}, .k = 3, .include_self = false}, 0) == Ints{0, 0, 1});
  const Options unique{.shape = {3, 4}, .k = 3, .allow_repeats = false};
  CHECK(row(unique, 0) == Ints{0, 1, 4});
  CHECK(row(unique, 11) == Ints{6, 7, 10});
  const Options large{.shape = {8, 8}, .k = 4};
  CHECK(row(large, 27) == Ints{18, 19, 20, 26});
  CHECK(row({.shape = {8, 8}, .k = 16}, 27) ==
        Ints{18, 19, 20, 26, 27, 28, 34, 35, 36, 18, 19, 20, 26, 27, 28, 34});
}

TEST_CASE("connectivity: given offsets keep order and repeats, and ignore the radius") {
  Options options{.shape = {3, 4}, .k = 5, .radius = -7, .offsets = {{{0, 0}, {0, 1}, {1, 0}}}};
  CHECK(row(options, 0) == Ints{0, 1, 4, 0, 1});
  CHECK(row(options, 5) == Ints{5, 6, 9, 5, 6});
  CHECK(row(options, 11) == Ints{11, 11, 11, 11, 11});
  options.include_self = false;
  CHECK(row(options, 5) == Ints{6, 9, 6, 9, 6});
  options.offsets = {{{0, 1}, {0, 1}, {-1, -2}}};
  options.k = 3;
  CHECK(row(options, 5) == Ints{6, 6, 0});
  options.wrap_mode = WrapMode::wrap;
  options.offsets = {{{-7, 9}, {2147483647, -2147483647}}};
  options.k = 2;
  CHECK(row(options, 0) == Ints{2 * 4 + 1, 1 * 4 + 1});
}

TEST_CASE("connectivity: random, reference tables") {
  const Options repeats{.shape = {3, 4}, .k = 5, .pattern = Pattern::random, .seed = 7};
  CHECK(row(repeats, 0) == Ints{0, 0, 4, 1, 0});
  CHECK(row(repeats, 5) == Ints{2, 2, 1, 8, 6});
  CHECK(row(repeats, 11) == Ints{10, 11, 7, 7, 6});
  const Options unique{
      .shape = {3, 4}, .k = 4, .pattern = Pattern::random, .seed = 7, .allow_repeats = false};
  CHECK(row(unique, 0) == Ints{5, 4, 0, 1});
  CHECK(row(unique, 5) == Ints{5, 10, 6, 9});
  CHECK(row(unique, 11) == Ints{11, 6, 7, 10});
  const Options square{.shape = {4, 4}, .k = 4, .pattern = Pattern::random, .seed = 0};
  CHECK(row(square, 0) == Ints{5, 0, 1, 4});
  CHECK(row(square, 1) == Ints{5, 4, 5, 1});
  CHECK(row(square, 2) == Ints{2, 1, 7, 3});
}

TEST_CASE("connectivity: hash, reference tables") {
  Options options{.shape = {3, 4}, .k = 5, .pattern = Pattern::hash, .seed = 7};
  CHECK(row(options, 0) == Ints{1, 1, 4, 4, 0});
  CHECK(row(options, 5) == Ints{6, 10, 0, 10, 0});
  CHECK(row(options, 11) == Ints{11, 10, 6, 11, 10});
  options.seed = 7 + 9973;
  CHECK(row(options, 0) == Ints{0, 0, 0, 0, 4});
  CHECK(row(options, 5) == Ints{1, 5, 10, 1, 2});
  options.seed.reset();
  CHECK(row(options, 0) == Ints{4, 0, 4, 0, 1});
  CHECK(row(options, 5) == Ints{9, 9, 0, 0, 10});
  const Options square{.shape = {4, 4}, .k = 4, .pattern = Pattern::hash, .seed = 0};
  CHECK(row(square, 0) == Ints{4, 0, 4, 0});
  CHECK(row(square, 1) == Ints{1, 0, 2, 0});
  CHECK(row(square, 2) == Ints{7, 2, 5, 6});
  // block 1 of the golden net: seed 0 + 9973
  const Options block{.shape = {4, 4}, .k = 8, .pattern = Pattern::hash, .seed = 9973};
  CHECK(row(block, 0) == Ints{0, 0, 0, 5, 0, 0, 1, 4});
}

TEST_CASE("connectivity: hash without repeats takes the head of each output's permutation") {
  const Options options{
      .shape = {5, 6}, .k = 4, .pattern = Pattern::hash, .seed = -3, .allow_repeats = false};
  Options all = options;
  all.k = 9;
  all.pattern = Pattern::local;
  all.wrap_mode = WrapMode::wrap;
  Options wrapped = options;
  wrapped.wrap_mode = WrapMode::wrap;
  for (int64_t o : {0, 13, 29}) {
    const Ints candidates = row(all, o);
    const Ints order = TorchGenerator(-3 + (o + 1) * 1000003).permutation(9);
    for (size_t j = 0; j < 4; ++j)
      CHECK(row(wrapped, o)[j] == candidates[static_cast<size_t>(order[j])]);
    CHECK(different(row(options, o)) == 4);
  }
}

TEST_CASE("connectivity: random without a seed continues the given stream") {
  Options options{.shape = {3, 4}, .k = 5, .pattern = Pattern::random};
  TorchGenerator global(7);
  const auto first = make_connectivity(options, global);
  const auto second = make_connectivity(options, global);
  options.seed = 7;
  CHECK(first->table == make_connectivity(options)->table);
  CHECK(first->table != second->table);
  TorchGenerator expected(7);
  for (int i = 0; i < 2 * 12 * 5; ++i) expected.u32();
  CHECK(global.u32() == expected.u32());
}

TEST_CASE("connectivity: every other table leaves the given stream alone") {
  TorchGenerator global(7);
  make_connectivity({.shape = {3, 4}, .k = 5}, global);
  make_connectivity({.shape = {3, 4}, .k = 5, .pattern = Pattern::hash}, global);
  make_connectivity({.shape = {3, 4}, .k = 5, .pattern = Pattern::random, .seed = 1}, global);
  CHECK(global.u32() == TorchGenerator(7).u32());
}

TEST_CASE("connectivity: mean number of different inputs on 8x8, local") {
  const std::pair<int64_t, double> expected[] = {{4, 3.6}, {8, 6.8}, {16, 7.6}, {32, 7.6}};
  for (const auto& [k, mean] : expected) {
    const auto c = make_connectivity({.shape = {8, 8}, .k = k});
    int64_t sum = 0;
    for (int64_t o = 0; o < 64; ++o) sum += different(row(c, o));
    CHECK(std::abs(static_cast<double>(sum) / 64 - mean) < 0.05);
  }
}

TEST_CASE("connectivity: reverse table lists each input's edges in ascending order") {
  for (Pattern pattern : {Pattern::local, Pattern::random, Pattern::hash}) {
    const auto c = make_connectivity({.shape = {5, 7}, .k = 6, .pattern = pattern, .seed = 3});
    REQUIRE(c->reverse_start.size() == 36);
    REQUIRE(c->reverse_edge.size() == 210);
    Ints expected;
    for (int32_t i = 0; i < 35; ++i) {
      CHECK(c->reverse_start[static_cast<size_t>(i)] == static_cast<int32_t>(expected.size()));
      for (size_t e = 0; e < c->table.size(); ++e)
        if (c->table[e] == i) expected.push_back(static_cast<int32_t>(e));
    }
    CHECK(c->reverse_start[35] == 210);
    CHECK(c->reverse_edge == expected);
  }
}

TEST_CASE("connectivity: a given table, not square, with unread inputs") {
  const auto c = make_connectivity(5, 2, 3, {4, 0, 4, 2, 2, 0});
  CHECK(c->n_in == 5);
  CHECK(c->n_out == 2);
  CHECK(c->k == 3);
  CHECK(c->table == Ints{4, 0, 4, 2, 2, 0});
  CHECK(c->reverse_start == Ints{0, 2, 2, 4, 4, 6});
  CHECK(c->reverse_edge == Ints{1, 5, 3, 4, 0, 2});
}

TEST_CASE("edge_list: table and repeated outputs") {
  const EdgeList edges = edge_list(*make_connectivity(5, 2, 3, {4, 0, 4, 2, 2, 0}));
  CHECK(edges.src == std::vector<int64_t>{4, 0, 4, 2, 2, 0});
  CHECK(edges.dst == std::vector<int64_t>{0, 0, 0, 1, 1, 1});
}

TEST_CASE("connectivity: names in any case") {
  CHECK(parse_pattern("Local") == Pattern::local);
  CHECK(parse_pattern("RANDOM") == Pattern::random);
  CHECK(parse_pattern("hash") == Pattern::hash);
  CHECK(parse_wrap_mode("Clamp") == WrapMode::clamp);
  CHECK(parse_wrap_mode("WRAP") == WrapMode::wrap);
  CHECK(parse_offset_order("Reference") == OffsetOrder::reference);
  CHECK(parse_offset_order("distance") == OffsetOrder::distance);
  CHECK_THROWS_WITH_AS(parse_pattern("grid"),
                       "connectivity: unknown pattern (grid; local, random or hash)", Error);
  CHECK_THROWS_WITH_AS(parse_wrap_mode("Torus"),
                       "connectivity: unknown wrap mode (Torus; clamp or wrap)", Error);
  CHECK_THROWS_WITH_AS(parse_offset_order(""),
                       "connectivity: unknown offset order (; reference or distance)", Error);
}

TEST_CASE("connectivity: errors, in the order of the checks") {
  // each step mends the fault that the step before reports
  Options options{.shape = {3},
                  .k = 0,
                  .pattern = Pattern::random,
                  .radius = -1,
                  .include_self = false,
                  .allow_repeats = false,
                  .dilation = 0};
  check_error(options, "connectivity: shape needs two sizes (has 1)");
  options.shape = {4, 0};
  check_error(options, "connectivity: sizes must be positive (H 4, W 0)");
  options.shape = {-4, 3};
  check_error(options, "connectivity: sizes must be positive (H -4, W 3)");
  options.shape = {65536, 32768};
  check_error(options, "connectivity: too many cells (H 65536, W 32768)");
  options.shape = {4, 3};
  check_error(options, "connectivity: k must be positive (0)");
  options.k = 178956971;
  check_error(options, "connectivity: too many edges (H 4, W 3, k 178956971)");
  options.k = 4;
  check_error(options, "connectivity: dilation outside [1, 2^31) (0)");
  options.dilation = 1;
  check_error(options, "connectivity: radius must not be negative (-1)");
  options.radius = 0;
  check_error(options, "connectivity: no offset is left without (0, 0)");
  options.radius = 2048;
  check_error(options, "connectivity: radius above 2047 (2048)");
  options.radius = 1;
  check_error(options, "connectivity: random without a seed needs a generator");
  options.seed = 0;
  options.k = 5;
  check_error(options, "connectivity: too few different candidates (k 5, 4 at cell 0)");
}

TEST_CASE("connectivity: errors in given offsets") {
  Options options{.shape = {4, 4}, .k = 2, .include_self = false};
  options.offsets.emplace();
  check_error(options, "connectivity: offsets are empty");
  options.offsets = {{0, 0}, {1, 2, 3}};
  check_error(options, "connectivity: offset 1 needs two entries (has 3)");
  options.offsets = {{0, 0}, {1, int64_t{1} << 31}};
  check_error(options, "connectivity: offset 1 is out of range (2147483648)");
  options.offsets = {{0, 0}, {0, 0}};
  check_error(options, "connectivity: no offset is left without (0, 0)");
}

TEST_CASE("connectivity: too few candidates without repeats, at any cell") {
  const char* const corner = "connectivity: too few different candidates (k 5, 4 at cell 0)";
  const char* const interior = "connectivity: too few different candidates (k 10, 9 at cell 0)";
  for (Pattern pattern : {Pattern::local, Pattern::random, Pattern::hash}) {
    Options options{.shape = {8, 8}, .k = 5, .pattern = pattern, .seed = 1, .allow_repeats = false};
    check_error(options, corner);
    options.wrap_mode = WrapMode::wrap;
    options.k = 9;
    CHECK(possible(options));
    options.k = 10;
    check_error(options, interior);
    options.shape = {2, 8};
    options.k = 7;
    check_error(options, "connectivity: too few different candidates (k 7, 6 at cell 0)");
  }
}

TEST_CASE("connectivity: errors in a given table") {
  CHECK_THROWS_WITH_AS(make_connectivity(0, 2, 1, {0, 0}),
                       "connectivity: sizes must be positive (n_in 0, n_out 2, k 1)", Error);
  CHECK_THROWS_WITH_AS(make_connectivity(3, 65536, 32768, {}),
                       "connectivity: too many edges (n_in 3, n_out 65536, k 32768)", Error);
  CHECK_THROWS_WITH_AS(
      make_connectivity(3, 2, 1, {0}),
      "connectivity: table needs n_out * k entries (n_in 3, n_out 2, k 1, entries 1)", Error);
  CHECK_THROWS_WITH_AS(make_connectivity(3, 2, 2, {0, 1, 2, 3}),
                       "connectivity: index out of range (3 at output 1, n_in 3)", Error);
  CHECK_THROWS_WITH_AS(make_connectivity(3, 2, 2, {0, -1, 2, 1}),
                       "connectivity: index out of range (-1 at output 0, n_in 3)", Error);
}

// --- extensions -----------------------------------------------------------------------------
TEST_CASE("connectivity: distance order") {
  Options options{.shape = {8, 8}, .k = 9, .offset_order = OffsetOrder::distance};
  CHECK(row(options, 27) == Ints{27, 19, 26, 28, 35, 18, 20, 34, 36});
  options.radius = 2;
  options.k = 25;
  CHECK(row(options, 27) == Ints{27, 19, 26, 28, 35, 18, 20, 34, 36, 11, 25, 29, 43,
                                 10, 12, 17, 21, 33, 37, 42, 44, 9,  13, 41, 45});
  options.offsets = {{{2, 0}, {0, 1}, {-1, 0}, {0, -2}}};
  options.k = 4;
  CHECK(row(options, 27) == Ints{28, 19, 43, 25});
}

TEST_CASE("connectivity: dilation multiplies window and given offsets") {
  CHECK(row({.shape = {8, 8}, .k = 9, .dilation = 2}, 27) ==
        Ints{9, 11, 13, 25, 27, 29, 41, 43, 45});
  CHECK(row({.shape = {8, 8}, .k = 2, .offsets = {{{1, 0}, {0, 1}}}, .dilation = 3}, 27) ==
        Ints{51, 30});
  CHECK(row({.shape = {8, 8}, .k = 1, .offsets = {{{0, 2147483647}}}, .dilation = 2147483647},
            27) == Ints{31});
}

TEST_CASE("connectivity: distinct inputs in distance order are the nearest cells of the grid") {
  for (int64_t k = 1; k <= 6; ++k) {
    const auto c = make_connectivity(
        {.shape = {6, 5}, .k = k, .offset_order = OffsetOrder::distance, .distinct = true});
    for (int32_t o = 0; o < 30; ++o) {
      std::vector<int32_t> nearest;
      for (int32_t i = 0; i < 30; ++i) {
        const int32_t dr = i / 5 - o / 5, dc = i % 5 - o % 5;
        nearest.push_back(dr * dr + dc * dc);
      }
      std::sort(nearest.begin(), nearest.end());
      nearest.resize(static_cast<size_t>(k));
      Ints chosen;
      for (int32_t i : row(c, o)) {
        const int32_t dr = i / 5 - o / 5, dc = i % 5 - o % 5;
        chosen.push_back(dr * dr + dc * dc);
      }
      CHECK(chosen == nearest);
      CHECK(different(row(c, o)) == k);
    }
  }
}

TEST_CASE("connectivity: the automatic radius is the smallest with k different candidates") {
  for (WrapMode mode : {WrapMode::clamp, WrapMode::wrap})
    for (int64_t dilation = 1; dilation <= 3; ++dilation)
      for (std::vector<int64_t> shape : {std::vector<int64_t>{4, 6}, {7, 3}, {1, 9}})
        for (int64_t k = 1; k <= shape[0] * shape[1]; ++k) {
          Options fixed{.shape = shape,
                        .k = k,
                        .radius = 0,
                        .wrap_mode = mode,
                        .allow_repeats = false,
                        .dilation = dilation};
          while (*fixed.radius < 10 && !possible(fixed)) ++*fixed.radius;
          Options automatic = fixed;
          automatic.radius.reset();
          REQUIRE(possible(automatic) == possible(fixed));
          if (!possible(fixed)) continue;
          const auto table = make_connectivity(fixed)->table;
          CHECK(make_connectivity(automatic)->table == table);
          automatic.radius = 0;  // distinct grows the window from here
          automatic.distinct = true;
          CHECK(make_connectivity(automatic)->table == table);
        }
}

TEST_CASE("connectivity: distinct keeps a larger radius, and drops the cell itself everywhere") {
  CHECK(row({.shape = {8, 8}, .k = 3, .radius = 2, .distinct = true}, 27) == Ints{9, 10, 11});
  for (Pattern pattern : {Pattern::local, Pattern::random, Pattern::hash})
    for (WrapMode mode : {WrapMode::clamp, WrapMode::wrap}) {
      const auto c = make_connectivity({.shape = {4, 3},
                                        .k = 11,
                                        .pattern = pattern,
                                        .wrap_mode = mode,
                                        .seed = 5,
                                        .include_self = false,
                                        .distinct = true});
      for (int32_t o = 0; o < 12; ++o) {
        const Ints inputs = row(c, o);
        CHECK(different(inputs) == 11);
        CHECK(std::count(inputs.begin(), inputs.end(), o) == 0);
      }
    }
}

TEST_CASE("connectivity: no radius is large enough") {
  Options options{.shape = {4, 3}, .k = 12, .include_self = false, .distinct = true};
  check_error(options,
              "connectivity: no radius gives k different candidates everywhere (k 12, at most 11)");
  options.include_self = true;
  CHECK(possible(options));
  options.wrap_mode = WrapMode::wrap;
  options.dilation = 2;
  options.radius.reset();
  options.distinct = false;
  check_error(options,
              "connectivity: no radius gives k different candidates everywhere (k 12, at most 6)");
}
