// Flags, signals and output that every subcommand shares.
#include "command.h"

#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "sinew/device.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

bool working = false;
std::string delayed_notice;
std::atomic<int> caught = 0;  // lock-free: also for a signal handler, and for every thread

extern "C" void on_signal(int signal) {
  if (caught.exchange(signal) != 0) _exit(128 + signal);
}

std::string refuse(const char* instead) {
  throw CLI::ValidationError("--dtype float16 and --amp-dtype float16 are not supported; use " +
                             std::string(instead));
}

// Without "{false}" behind the negative form of a switch.
class Help : public CLI::Formatter {
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    const std::string noise = "{false}";
    const auto at = name.find(noise);
    return at == std::string::npos ? name : name.erase(at, noise.size());
  }
};

}  // namespace

// A notice is not for a call that fails before: its error is the only line.
void work_starts() {
  working = true;
  if (!delayed_notice.empty()) std::fprintf(stderr, "%s\n", delayed_notice.c_str());
  delayed_notice.clear();
}
bool work_started() { return working; }
int stop_signal() { return caught; }

Stopped::Stopped(const std::string& saved)
    : Error("stopped by " + std::string(caught == SIGTERM ? "SIGTERM" : "SIGINT") + saved) {}

void catch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void add_run_flags(CLI::App& sub, RunFlags& flags) {
  sub.add_option("--device", flags.device, "auto (cuda where usable), cpu or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  sub.add_option("--threads", flags.threads, "CPU threads; default: the processors it may use")
      ->check(CLI::Range(1, 1024));
  sub.add_option("--isa", flags.isa, "instruction set: auto, generic, avx2 or avx512")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "generic", "avx2", "avx512"}));
  const auto set_precision = [&flags](const std::string& precision) {
    if (!flags.asked_precision.empty() && flags.asked_precision != precision)
      throw CLI::ValidationError("the precision is given as " + flags.asked_precision + " and as " +
                                 precision);
    flags.precision = flags.asked_precision = precision;
  };
  sub.add_option_function<std::string>("--precision", set_precision,
                                       "f32; f64 on the CPU; tf32 or bf16 on cuda")
      ->default_str("f32")
      ->check(CLI::IsMember({"f32", "tf32", "bf16", "f64"}));
  sub.add_option("--graph", flags.graph, "record steps once and replay them: auto, on or off")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "on", "off"}));
  sub.add_flag("--quiet", flags.quiet, "print nothing but errors");

  const auto set = [set_precision](const char* precision) {
    return [set_precision, precision](std::int64_t) { set_precision(precision); };
  };
  const char* aliases = "Other names";
  sub.add_flag_function("--amp", set("bf16"), "= --precision bf16")->group(aliases);
  sub.add_flag_function("--tf32", set("tf32"), "= --precision tf32")->group(aliases);
  sub.add_option_function<std::string>(
         "--dtype",
         [set_precision](const std::string& type) {
           set_precision(type == "float32"    ? "f32"
                         : type == "float64"  ? "f64"
                         : type == "bfloat16" ? "bf16"
                                              : refuse("--precision bf16"));
         },
         "float32, float64, bfloat16 = --precision f32, f64, bf16")
      ->check(CLI::IsMember({"float32", "float64", "bfloat16", "float16"}))
      ->group(aliases);
  sub.add_option_function<std::string>(
         "--amp-dtype",
         [](const std::string& type) {
           if (type == "float16") refuse("--amp, which is bfloat16");
         },
         "bfloat16, the only type of --amp")
      ->check(CLI::IsMember({"bfloat16", "float16"}))
      ->group(aliases);
  const auto meaningless = [&](const std::string& flag, const char* instead) {
    sub.add_option_function<std::string>(
           flag,
           [flag, instead](const std::string&) {
             throw CLI::ValidationError(flag + " has no meaning here: " + instead);
           })
        ->expected(0, 1)
        ->group("");
  };
  for (const char* flag : {"--compile", "--compile-backend", "--compile-mode"})
    meaningless(flag, "nothing is compiled; --graph records steps");
  meaningless("--num-workers", "data are in memory; --threads sets the CPU threads");
}

bool RunFlags::use_cuda() const {
  if (device == "cpu" || (device == "auto" && precision == "f64")) return false;
  const bool emulated =
      std::string(SINEW_CUDA_BUILD) == "emulated";  // for tests: only if asked for
  if (device == "auto" && (emulated || std::string(SINEW_CUDA_BUILD) == "disabled")) return false;
  const std::string fault = cuda_fault();
  if (fault.empty()) return true;
  if (device == "cuda") throw Error("--device cuda: " + fault + " (use cpu or auto)");
  if (!quiet) delayed_notice = "--device auto: " + fault + "; using the CPU";
  return false;
}

void RunFlags::apply() const {
  const bool cuda = use_cuda();
  if (!cuda && (precision == "tf32" || precision == "bf16"))
    throw Error("--precision " + precision + " is for --device cuda only (use f32 or f64)");
  if (cuda && precision == "f64")
    throw Error("--precision f64 is for --device cpu only (use f32, tf32 or bf16)");
  set_device(cuda ? Device::cuda : Device::cpu);
  set_tf32(precision == "tf32" ? Tf32::on : Tf32::off);
  if (threads > 0) set_threads(threads);
  set_isa(parse_isa(isa));
}

DType RunFlags::data_type() const { return precision == "f64" ? DType::f64 : DType::f32; }
DType RunFlags::network_type() const { return precision == "bf16" ? DType::bf16 : data_type(); }

CLI::App* add_command(CLI::App& app, const char* name, const char* what, const char* example,
                      const std::function<void()>& run) {
  CLI::App* sub = app.add_subcommand(name, what);
  sub->formatter(std::make_shared<Help>());
  sub->footer("Example: " + std::string(example));
  sub->callback(run);
  sub->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  return sub;
}

CLI::Option* add_switch(CLI::App& sub, const std::string& name, bool& value, const char* what) {
  const std::string shown = std::string(what) + (value ? " [on]" : " [off]");
  return sub.add_flag("--" + name + ",!--no-" + name, value, shown);
}

namespace {

CLI::Validator whole_above(int64_t least, const char* needs) {
  const auto check = [=](const std::string& text) {
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    const bool ok = parsed.ec == std::errc() && parsed.ptr == end && value >= least;
    return ok ? "" : "needs " + std::string(needs) + " (" + text + ")";
  };
  return {check, "", needs};
}

}  // namespace

CLI::Validator whole_number() { return whole_above(INT64_MIN, "a whole number of 64 bits"); }
CLI::Validator above_zero() { return whole_above(1, "a whole number above 0"); }

void print(const RunFlags& flags, const std::string& text) {
  if (flags.quiet) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    work_starts();
    throw Error("standard output: writing failed (" + std::string(std::strerror(errno)) + ")");
  }
}

void notice(const RunFlags& flags, const std::string& text) {
  if (!flags.quiet) std::fprintf(stderr, "%s\n", text.c_str());
}

std::string one_line(const std::string& text) { return printable(text, text.npos); }

void require_writable(const std::string& path) {
  struct stat status;
  const auto fail = [&](const char* fact) { throw Error(path + ": " + fact); };
  if (path.empty()) throw Error("a file name is empty");
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail("is a folder");
    if (access(path.c_str(), W_OK) != 0) fail("cannot be written");
    if (!S_ISREG(status.st_mode)) return;
  } else if (errno != ENOENT) {
    fail(std::strerror(errno));
  }
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    fail(("its folder cannot be written (" + std::string(std::strerror(errno)) + ")").c_str());
}

}  // namespace sinew::tools
