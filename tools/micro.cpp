// sinew micro: how long one geo-sparse layer and one block take, forward and with gradients.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "micro.h"
#include "network_flags.h"
#include "run_folder.h"
#include "sinew/device.h"

namespace sinew::tools {
namespace {

struct Micro {
  RunFlags run;
  NetworkFlags network;
  MicroSettings settings;
  std::optional<std::string> compute_mode, out;

  std::vector<Replay> replays() const {  // in this order: the records rely on it
    if (run.graph == "auto") return {Replay::no, Replay::yes};
    return {run.graph == "on" ? Replay::yes : Replay::no};
  }
};

void stop_if_asked() {
  if (stop_signal() != 0) throw Stopped("; nothing was written");
}

MicroSettings settings_of(const Micro& m) {
  MicroSettings s = m.settings;
  NetworkConfig base;
  base.connectivity.shape = {8, 8};
  base.activation = ActivationKind::relu;
  s.network = m.network.config(base);
  if (s.network.model != ModelKind::geo_sparse)
    throw Error("--config: only layers of model geo_sparse are timed");
  s.network.input_dim = 0;
  s.network = checked(s.network);
  auto& seed = s.network.connectivity.seed;
  seed = seed.value_or(s.seed);
  const bool scatter = s.network.compute_mode == ComputeMode::scatter;
  s.compute_mode = m.compute_mode.value_or(scatter ? "scatter" : "gather");
  s.precision = {m.run.data_type(), m.run.network_type()};
  return s;
}

void require_no_results(const std::string& folder) {
  std::error_code ignored;
  for (const char* file : micro_files)
    if (std::filesystem::exists(folder + "/" + file, ignored))
      throw Error(folder + ": holds results (" + file + "); name another folder");
}

Ceilings measured_ceilings(const Micro& m, const MicroSettings& s) {
  Ceilings ceilings;
  Cases cases;
  if (s.ceilings) add_ceilings(cases, s.precision, Sizes::full);
  for (const Case& c : cases) {
    const Prepared prepared = c.prepare();
    Result result{c.name, prepared.cost, 0, measure(prepared, {}, Replay::no, stop_if_asked), ""};
    ceilings.take(result);
    print(m.run, micro_row(result, ceilings));
    release_cached_memory();
  }
  return ceilings;
}

MicroLine measured(const MicroCases& cases, const MicroSettings& s, MicroLine line) {
  const Prepared prepared = cases.prepare(line.part, line.work);
  Result& result = line.result;
  result.name = label(line);
  result.cost = prepared.cost;
  result.parameters = prepared.parameters;
  const Budget single{s.steps, 0, s.warmup};  // no time for more than one call per round
  result.timing = measure(prepared, single, line.replay, stop_if_asked);
  const Budget together{1, static_cast<double>(s.steps) * result.timing.median()};
  line.loop = measure(prepared, together, line.replay, stop_if_asked).rounds[0];
  release_cached_memory();
  return line;
}

std::vector<MicroLine> measured_lines(const Micro& m, const MicroSettings& s,
                                      const MicroCases& cases, const Ceilings& ceilings) {
  std::vector<MicroLine> lines;
  for (const std::string& mode : s.modes())
    for (const Part part : {Part::linear, Part::block})
      for (const Work work : all_works)
        for (const Replay replay : m.replays()) {
          lines.push_back(measured(cases, s, {part, mode, work, replay, {}}));
          print(m.run, micro_row(lines.back().result, ceilings));
        }
  return lines;
}

void run(const Micro& m) {
  m.run.apply();
  const MicroSettings settings = settings_of(m);
  const MicroCases cases(settings);
  const std::string out = m.out.value_or(dated_folder("reports/geo_sparse_micro"));
  require_no_results(out);
  RunFolder folder(out);
  folder.take();
  work_starts();
  print(m.run, micro_head());
  const Ceilings ceilings = measured_ceilings(m, settings);
  const std::vector<MicroLine> lines = measured_lines(m, settings, cases, ceilings);
  stop_if_asked();
  write_micro(out, settings, m.run, ceilings, lines);
  const std::string recommended = recommended_mode(lines);
  if (!recommended.empty())
    print(m.run, "recommended compute mode: " + recommended +
                     " (gather and scatter run one kernel: a difference is noise)\n");
  print(m.run, "results: " + out + "\n");
}

constexpr const char* help =
    "sinew micro --shape 16x16 --k 8 --batch-size 256\n\n"
    "Times a layer (linear) and a block x + alpha fc2(act(fc1(norm(x)))): forward in mode eval;\n"
    "forward_backward in mode train with the loss sum(y), the gradients of the parameters and an\n"
    "update of SGD with rate 0; forward_backward_dx with the input's gradient too. Each step is\n"
    "timed alone, by the host's clock, the device having finished before and after it. Columns as\n"
    "in sinew bench: shares are of a large copy and a large matrix product, measured first. What\n"
    "fits into a cache can move more than the copy. --graph auto measures both ways.";

CLI::Validator count_from(int64_t least) { return CLI::Range(least, int64_t{1000000000}); }

}  // namespace

void add_micro(CLI::App& app) {
  const auto m = std::make_shared<Micro>();
  CLI::App* sub =
      add_command(app, "micro", "Time a geo-sparse layer and block", help, [m] { run(*m); });
  m->network.add_to(*sub);
  for (const char* flag : {"--model", "--depth", "--drop-path-max", "--compute-mode", "--input-dim",
                           "--output-dim", "--hidden-dim"})
    sub->remove_option(sub->get_option(flag));
  sub->get_option("--shape")->default_str("8x8");
  sub->get_option("--activation")->default_str("relu");
  sub->get_option("--net-seed")->default_str("of --seed");
  MicroSettings& s = m->settings;
  sub->add_option("--compute-mode", m->compute_mode,
                  "gather, scatter or auto: both; they run one kernel")
      ->default_str("gather")
      ->check(CLI::IsMember({"gather", "scatter", "auto"}));
  const auto number = [&](const char* flag, int64_t& value, const char* what) {
    return sub->add_option(flag, value, what)->capture_default_str();
  };
  number("--batch-size", s.batch_size, "rows of the input")->check(above_zero());
  number("--steps", s.steps, "timed calls of each line")->check(above_zero())->check(count_from(1));
  number("--warmup", s.warmup, "calls before the timed ones; at least 3 are made")
      ->check(whole_number())
      ->check(count_from(0));
  number("--seed", s.seed, "of weights, input and index tables")->check(whole_number());
  add_switch(*sub, "ceilings", s.ceilings, "measure copy and matrix product, for the shares");
  sub->add_option("--out", m->out, "new folder of the results")
      ->default_str("reports/geo_sparse_micro/TIME");
  add_run_flags(*sub, m->run);
}

}  // namespace sinew::tools
