// sinew micro: how long one geo-sparse layer and one block take, forward and with gradients.
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

constexpr int64_t most = 1000000000;  // calls

}  // namespace

void add_micro(Flags& program) {
  const auto m = std::make_shared<Micro>();
  Flags flags =
      program.add_command("micro", "Time a geo-sparse layer and block", help, [m] { run(*m); });
  m->network.add_to(flags, {"model", "depth", "drop_path_max", "compute_mode", "input_dim",
                            "output_dim", "hidden_dim"});
  flags.get("--shape").shown("8x8");
  flags.get("--activation").shown("relu");
  flags.get("--net-seed").shown("of --seed");
  MicroSettings& s = m->settings;
  flags.add("--compute-mode", m->compute_mode, "gather, scatter or auto: both; they run one kernel")
      .shown("gather")
      .one_of({"gather", "scatter", "auto"});
  const auto number = [&](const char* flag, int64_t& value, const char* what) {
    return flags.add(flag, value, what);
  };
  number("--batch-size", s.batch_size, "rows of the input").above_zero();
  number("--steps", s.steps, "timed calls of each line").above_zero().range(1, most);
  number("--warmup", s.warmup, "calls before the timed ones; at least 3 are made")
      .whole_number()
      .range(0, most);
  number("--seed", s.seed, "of weights, input and index tables").whole_number();
  flags.add_switch("ceilings", s.ceilings, "measure copy and matrix product, for the shares");
  flags.add("--out", m->out, "new folder of the results").shown("reports/geo_sparse_micro/TIME");
  add_run_flags(flags, m->run);
}

}  // namespace sinew::tools
