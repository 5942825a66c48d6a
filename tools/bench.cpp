// sinew bench: time of ops, modules and training steps, and how near they come to what the device
// can do. Cases: bench.h; their costs: bench_cost.h.
#include <algorithm>
#include <charconv>
#include <memory>
#include <new>

#include "bench_record.h"
#include "command.h"
#include "sinew/device.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

struct Bench {
  RunFlags run;
  Budget budget;
  std::vector<std::string> filter;
  std::optional<std::string> json, compare;
  bool list = false, quick = false;

  Replay replay() const { return run.graph == "off" ? Replay::no : Replay::yes; }
  Sizes sizes() const { return quick ? Sizes::tiny : Sizes::full; }
  Precision precision() const { return {run.data_type(), run.network_type()}; }
};

// Contains one of the texts; without any, every name does.
bool selects(const std::vector<std::string>& filter, const std::string& name) {
  const auto in_name = [&](const std::string& text) { return name.find(text) != name.npos; };
  return filter.empty() || std::any_of(filter.begin(), filter.end(), in_name);
}

Cases selected(const Bench& b) {
  const Sizes sizes = b.sizes();
  Cases all, out;
  add_ceilings(all, b.precision(), sizes);
  const size_t ceilings = all.size();  // always measured, for the shares
  add_elementwise(all, b.precision(), sizes);
  add_layers(all, b.precision(), sizes);
  add_updates(all, b.precision(), sizes);
  add_modules(all, b.precision(), sizes);
  add_steps(all, b.precision(), sizes);
  bool any = false;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool named = selects(b.filter, all[i].name);
    any = any || named;
    if (named || (i < ceilings && !b.list)) out.push_back(all[i]);
  }
  if (!any) throw Error("--filter " + b.filter[0] + ": no case has this in its name (see --list)");
  return out;
}

void stop_if_asked() {
  if (stop_signal() != 0) throw Stopped();
}

// A case that fails is reported with the others.
Result result_of(const Case& c, const Bench& b) {
  Result result;
  result.name = c.name;
  stop_if_asked();
  try {
    const Prepared prepared = c.prepare();
    result.cost = prepared.cost;
    result.parameters = prepared.parameters;
    result.timing = measure(prepared, b.budget, b.replay(), stop_if_asked);
  } catch (const Stopped&) {
    throw;
  } catch (const std::bad_alloc&) {
    result.error = "out of memory";
  } catch (const Error& error) {
    result.error = error.what();
  }
  release_cached_memory();
  return result;
}

BenchSettings settings_of(const Bench& b) {
  return {name(device()), name(isa()), b.run.precision, threads(),
          b.replay(),     fusion(),    b.sizes(),       b.budget};
}

// Those that are measured before a signal ends the program.
std::vector<Result> results_of(const Cases& cases, const Bench& b, Ceilings& ceilings) {
  std::vector<Result> results;
  try {
    for (const Case& c : cases) {
      results.push_back(result_of(c, b));
      ceilings.take(results.back());
      print(b.run, table_row(results.back(), ceilings));
    }
  } catch (const Stopped&) {
    // what there is gets written
  }
  return results;
}

// The end of a run that is not as it should be, after its results are written.
void require_complete(const std::vector<Result>& results, size_t cases) {
  const std::string of = " of " + std::to_string(cases) + " cases ";
  if (stop_signal() != 0) throw Stopped("; " + std::to_string(results.size()) + of + "were run");
  const auto failed = [](const Result& r) { return !r.error.empty(); };
  const auto count = std::count_if(results.begin(), results.end(), failed);
  if (count == 0) return;
  const Result& first = *std::find_if(results.begin(), results.end(), failed);
  throw Error(std::to_string(count) + of + "failed, first " + first.name + ": " + first.error);
}

void run(const Bench& b) {
  b.run.apply();
  const Cases cases = selected(b);
  Earlier earlier;
  if (b.compare) earlier = about(*b.compare, [&] { return parse_earlier(read_file(*b.compare)); });
  std::erase_if(earlier.cases, [&](const auto& one) {
    return !one.name.starts_with("ceiling/") && !selects(b.filter, one.name);
  });
  if (b.json) require_writable(*b.json);
  work_starts();
  if (b.list) {
    std::string names;
    for (const Case& c : cases) names += c.name + "\n";
    return print(b.run, names);
  }
  const BenchSettings settings = settings_of(b);
  print(b.run, table_head(settings));
  Ceilings ceilings;
  const std::vector<Result> results = results_of(cases, b, ceilings);
  if (b.json) write_file(*b.json, to_json(results, ceilings, settings, b.run));
  if (b.compare) print(b.run, comparison(earlier, results, settings));
  require_complete(results, cases.size());
}

std::string check_seconds(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  const bool ok = parsed.ec == std::errc() && parsed.ptr == end && value > 0 && value <= 3600;
  return ok ? "" : "needs a number above 0, at most 3600 (" + text + ")";
}

constexpr const char* help =
    "sinew bench --filter step/ --json new.json\n\n"
    "A call is replayed from a recording (--graph off: run eagerly). A row has the median and "
    "least\n"
    "time of a call over the rounds, the spread (largest - least) / median, the bytes and "
    "operations\n"
    "that the function needs by its formula, their rates, and these as shares of the device's "
    "own:\n"
    "of a large copy and a large matrix product, measured first. Call 1 and 2 are the times of "
    "the\n"
    "first two calls: eager, and recording. /gradient is forward and backward for all inputs,\n"
    "/input_gradient and /weight_gradient for one of them; step/ is forward, loss, backward and\n"
    "AdamW, its bytes and operations those of the single ops, so that fused ones may exceed 100 "
    "%;\n"
    "op/geo_blocks is the fused op whatever --fusion says. The dense networks have as many\n"
    "parameters as the geo-sparse one.";

}  // namespace

void add_bench(Flags& program) {
  const auto b = std::make_shared<Bench>();
  Flags flags =
      program.add_command("bench", "Time ops, modules and training steps", help, [b] { run(*b); });
  flags.add("--filter", b->filter,
            "only cases whose name contains this text; may be repeated: any of them");
  flags.add("--list", b->list, "print the names of the cases and end");
  flags.add("--rounds", b->budget.rounds, "rounds of calls per case").above_zero().range(1, 10000);
  flags
      .add("--seconds", b->budget.seconds,
           "time per case in s, all rounds together; each makes at least one call")
      .check(check_seconds, "FLOAT in (0, 3600]");
  flags.add("--quick", b->quick, "tiny sizes: shows that every case runs, not how fast");
  flags.add("--json", b->json, "write the results to this file too, also of a run that is stopped");
  flags.add("--compare", b->compare, "JSON of an earlier run: show old / new of each case");
  add_run_flags(flags, b->run);
}

}  // namespace sinew::tools
