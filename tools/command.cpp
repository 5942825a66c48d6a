// Flags, signals and output that every subcommand shares.
#include "command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
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

void add_run_flags(Flags& flags, RunFlags& run) {
  flags.add("--device", run.device, "auto (cuda where usable), cpu or cuda")
      .one_of({"auto", "cpu", "cuda"});
  flags.add("--threads", run.threads, "CPU threads")
      .range(1, 1024)
      .shown("the processors it may use");
  flags.add("--isa", run.isa, "instruction set: auto, generic, avx2 or avx512")
      .one_of({"auto", "generic", "avx2", "avx512"});
  const auto set_precision = [&run](const std::string& precision) {
    if (!run.asked_precision.empty() && run.asked_precision != precision)
      throw Error("the precision is given as " + run.asked_precision + " and as " + precision);
    run.precision = run.asked_precision = precision;
  };
  flags.add("--precision", set_precision, "f32; f64 on the CPU; tf32 or bf16 on cuda")
      .shown("f32")
      .one_of({"f32", "tf32", "bf16", "f64"});
  flags.add("--graph", run.graph, "record steps once and replay them: auto, on or off")
      .one_of({"auto", "on", "off"});
  flags.add("--fusion", run.fusion, "fused kernels for residual blocks: on, or off (op by op)")
      .one_of({"on", "off"});
  flags.add("--quiet", run.quiet, "print nothing but errors");

  const char* aliases = "Other names";
  const auto set = [=](const char* precision) { return [=] { set_precision(precision); }; };
  flags.add("--amp", set("bf16"), "= --precision bf16").group(aliases);
  flags.add("--tf32", set("tf32"), "= --precision tf32").group(aliases);
  const auto no_float16 = [](const std::string& type, const char* instead) {
    if (type == "float16")
      throw Error("--dtype float16 and --amp-dtype float16 are not supported; use " +
                  std::string(instead));
  };
  const auto set_type = [=](const std::string& type) {
    no_float16(type, "--precision bf16");
    set_precision(type == "float32" ? "f32" : type == "float64" ? "f64" : "bf16");
  };
  flags.add("--dtype", set_type, "float32, float64, bfloat16 = --precision f32, f64, bf16")
      .one_of({"float32", "float64", "bfloat16", "float16"})
      .group(aliases);
  const auto set_amp_type = [=](const std::string& type) {
    no_float16(type, "--amp, which is bfloat16");
  };
  flags.add("--amp-dtype", set_amp_type, "bfloat16, the only type of --amp")
      .one_of({"bfloat16", "float16"})
      .group(aliases);
  for (const char* flag : {"--compile", "--compile-backend", "--compile-mode"})
    flags.refuse(flag, "nothing is compiled; --graph records steps");
  flags.refuse("--num-workers", "data are in memory; --threads sets the CPU threads");
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
  set_fusion(fusion == "on" ? Fusion::on : Fusion::off);
}

DType RunFlags::data_type() const { return precision == "f64" ? DType::f64 : DType::f32; }
DType RunFlags::network_type() const { return precision == "bf16" ? DType::bf16 : data_type(); }

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

std::string format(const char* pattern, double value) {
  char text[400];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
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
