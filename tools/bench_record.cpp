// The table, the JSON, and the comparison with a JSON of an earlier run. That one may be hostile:
// its size and depth are bounded, its numbers checked, its text printed on one line.
#include "bench_record.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench_json.h"
#include "environment.h"
#include "json_file.h"
#include "sinew/error.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;
constexpr JsonLimits limits = {16 << 20, 8};
constexpr int name_width = 44;

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }
double ms(double seconds) { return 1e3 * seconds; }

// A rate and its share of the ceiling; blank where there is none.
std::string rate_and_share(double rate, const std::optional<double>& ceiling) {
  if (rate == 0) return std::string(10 + 6, ' ');
  return format("%10.2f", 1e-9 * rate) +
         (ceiling ? format("%6.1f", 100 * rate / *ceiling) : "     -");
}

Json share(double rate, const std::optional<double>& ceiling) {
  return ceiling && *ceiling > 0 ? Json(rate / *ceiling) : Json();
}

Json settings_json(const BenchSettings& s) {
  return {{"device", s.device},
          {"threads", s.threads},
          {"isa", s.isa},
          {"precision", s.precision},
          {"replay", s.replay == Replay::yes},
          {"fusion", s.fusion == Fusion::on},
          {"quick", s.sizes == Sizes::tiny},
          {"rounds", s.budget.rounds},
          {"seconds", s.budget.seconds}};
}

double time_in(const Json& one, const char* key, const std::string& name) {
  const auto found = one.find(key);
  const double value = found != one.end() && found->is_number() ? found->get<double>() : NAN;
  if (!(value > 0 && std::isfinite(value)))
    throw Error("case " + name + ": " + key + " is no time above 0");
  return value;
}

}  // namespace

Json case_json(const Result& r, const Ceilings& ceilings) {
  Json out = {{"name", r.name}};
  if (!r.error.empty()) {
    out["error"] = printable(r.error, 1000);
    return out;
  }
  const Timing& t = r.timing;
  Json rounds = Json::array();
  for (const double seconds : t.rounds) rounds.push_back(ms(seconds));
  const double bytes = rate(r.cost.bytes, t.median());
  const double operations = rate(r.cost.operations, t.median());
  out.update({{"median_ms", ms(t.median())},
              {"min_ms", ms(t.rounds.front())},
              {"max_ms", ms(t.rounds.back())},
              {"rounds_ms", rounds},
              {"calls_per_round", t.calls},
              {"first_call_ms", ms(t.first)},
              {"second_call_ms", ms(t.second)},
              {"bytes", r.cost.bytes},
              {"operations", r.cost.operations},
              {"gb_per_s", 1e-9 * bytes},
              {"gflop_per_s", 1e-9 * operations},
              {"share_of_copy", share(bytes, ceilings.bytes_per_s)},
              {"share_of_matmul", share(operations, ceilings.operations_per_s)}});
  if (r.parameters > 0) out["parameters"] = r.parameters;
  return out;
}

Json ceilings_json(const Ceilings& ceilings) {
  const auto giga = [](const std::optional<double>& rate) {
    return rate ? Json(1e-9 * *rate) : Json();
  };
  return {{"copy_gb_per_s", giga(ceilings.bytes_per_s)},
          {"matmul_gflop_per_s", giga(ceilings.operations_per_s)}};
}

void Ceilings::take(const Result& result) {
  if (!result.error.empty()) return;
  const double seconds = result.timing.rounds.front();  // the best round
  if (result.name == "ceiling/copy") bytes_per_s = rate(result.cost.bytes, seconds);
  if (result.name == "ceiling/matmul") operations_per_s = rate(result.cost.operations, seconds);
}

std::string rates_head() { return "       MB       Mop       GB/s % copy      Gop/s % peak"; }

std::string rates(const Result& r, const Ceilings& ceilings) {
  const double middle = r.timing.median();
  return format(" %8.2f", 1e-6 * r.cost.bytes) + format(" %9.2f", 1e-6 * r.cost.operations) + " " +
         rate_and_share(rate(r.cost.bytes, middle), ceilings.bytes_per_s) + " " +
         rate_and_share(rate(r.cost.operations, middle), ceilings.operations_per_s);
}

std::string table_head(const BenchSettings& settings) {
  return "settings: " + settings_json(settings).dump() + "\n" + padded("case", name_width) +
         "  median ms     min ms  spread" + rates_head() + "   call 1 ms   call 2 ms\n";
}

std::string table_row(const Result& r, const Ceilings& ceilings) {
  const std::string name = padded(r.name, name_width);
  if (!r.error.empty()) return name + "  failed: " + printable(r.error, 160) + "\n";
  const Timing& t = r.timing;
  const double middle = t.median(), least = t.rounds.front(), most = t.rounds.back();
  return name + format(" %10.4f", ms(middle)) + format(" %10.4f", ms(least)) +
         format(" %5.0f %%", 100 * rate(most - least, middle)) + rates(r, ceilings) +
         format(" %11.3f", ms(t.first)) + format(" %11.3f", ms(t.second)) + "\n";
}

std::string to_json(const std::vector<Result>& results, const Ceilings& ceilings,
                    const BenchSettings& settings, const RunFlags& run) {
  Json out = {{"environment", environment(run)},
              {"settings", settings_json(settings)},
              {"ceilings", ceilings_json(ceilings)},
              {"cases", Json::array()}};
  for (const Result& result : results) out["cases"].push_back(case_json(result, ceilings));
  return out.dump(1) + "\n";
}

Earlier parse_earlier(const std::string& text) {
  const Json file = parse_json(text, limits);
  const auto part = [&](const char* key) { return file.is_object() ? file.find(key) : file.end(); };
  const auto settings = part("settings"), cases = part("cases");
  if (settings == file.end() || !settings->is_object() || cases == file.end() || !cases->is_array())
    throw Error("no results of sinew bench (settings and cases)");
  Earlier out;
  for (const auto& [key, value] : settings->items()) out.settings[key] = value.dump();
  for (const Json& one : *cases) {
    const auto found = one.is_object() ? one.find("name") : one.end();
    if (!one.is_object() || found == one.end() || !found->is_string())
      throw Error("a case without a name");
    const auto& name = found->get_ref<const std::string&>();
    if (one.contains("error")) continue;
    const std::string shown = printable(name);
    const Earlier::Times times{name, time_in(one, "median_ms", shown),
                               time_in(one, "min_ms", shown), time_in(one, "max_ms", shown)};
    if (!(times.min <= times.median && times.median <= times.max))
      throw Error("case " + shown + ": median_ms is not between min_ms and max_ms");
    out.cases.push_back(times);
  }
  std::vector<std::string> names;
  for (const auto& one : out.cases) names.push_back(one.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw Error("case " + printable(*twice) + " occurs twice");
  return out;
}

std::string comparison(const Earlier& earlier, const std::vector<Result>& results,
                       const BenchSettings& settings) {
  std::string out = "\n", missing;
  const Json current = settings_json(settings);
  for (const auto& [key, now] : current.items()) {
    const auto then = earlier.settings.find(key);
    const std::string old = then == earlier.settings.end() ? "unknown" : then->second;
    if (old != now.dump())
      out += "settings differ: " + key + " " + printable(old) + " then, " + now.dump() + " now\n";
  }
  out += padded("case", name_width) + "     old ms     new ms  old/new    least  largest\n";
  std::map<std::string, const Earlier::Times*> old;
  for (const auto& one : earlier.cases) old[one.name] = &one;
  for (const Result& r : results) {
    if (!r.error.empty()) continue;
    const auto found = old.find(r.name);
    if (found == old.end()) {
      missing += "only now: " + r.name + "\n";
      continue;
    }
    const Earlier::Times& was = *found->second;
    const double least = ms(r.timing.rounds.front()), most = ms(r.timing.rounds.back());
    out += padded(r.name, name_width) + format(" %10.4f", was.median) +
           format(" %10.4f", ms(r.timing.median())) +
           format(" %8.3f", was.median / ms(r.timing.median())) + format(" %8.3f", was.min / most) +
           format(" %8.3f", was.max / least) + "\n";
    old.erase(found);
  }
  for (const auto& one : earlier.cases)
    if (old.count(one.name) > 0) missing += "only then: " + printable(one.name) + "\n";
  return out + missing;
}

}  // namespace sinew::tools
