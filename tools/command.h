// What every subcommand of the program `sinew` shares: flags, errors and exit statuses, signals.
//
// A subcommand first reads and checks all its input (a failure there is exit status 2), then calls
// work_starts() and works (a failure there is exit status 1).
#pragma once
#include <string>

#include "flags.h"
#include "sinew/dtype.h"
#include "sinew/error.h"

namespace sinew::tools {

// From here on a failure is one of the run (exit status 1), not of its input (2).
void work_starts();
bool work_started();

// The first SIGINT or SIGTERM, 0 before it; the second one ends the program at once. Work asks
// between steps and ends with a Stopped that says what it has saved.
int stop_signal();
void catch_signals();     // also: SIGXFSZ and SIGPIPE no longer kill, writes fail instead
struct Stopped : Error {  // exit status 128 + stop_signal()
  explicit Stopped(const std::string& saved = "");
};

// What the flags of every subcommand say.
struct RunFlags {
  std::string device = "auto", isa = "auto", precision = "f32", graph = "auto", fusion = "on";
  std::string asked_precision;  // by any of its flags
  int threads = 0;              // 0: all
  bool quiet = false;

  void apply() const;  // sets this thread's device, precision, threads, instruction set, fusion
  DType data_type() const;  // f32 or f64
  bool records_steps() const { return graph != "off"; }
  DType network_type() const;  // for Network::to: f32, f64 or bf16

 private:
  bool use_cuda() const;
};
// --device, --threads, --isa, --precision, --graph, --fusion, --quiet, the reference's names for
// them, and a refusal of its flags that mean nothing here.
void add_run_flags(Flags& flags, RunFlags& run);

// Results on stdout unless --quiet; throws if they cannot be written.
void print(const RunFlags& flags, const std::string& text);
// One line on stderr unless --quiet.
void notice(const RunFlags& flags, const std::string& text);
// printf of one number.
std::string format(const char* pattern, double value);
// Control characters and what is no UTF-8 as \xHH.
std::string one_line(const std::string& text);

// f(), the name of a file or flag put before the message of an error.
template <class F>
auto about(const std::string& source, const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw Error(source + ": " + error.what());
  }
}

// Throws unless a file of this name can be made or replaced, before there is anything to write.
void require_writable(const std::string& path);

void add_train(Flags& program);
void add_predict(Flags& program);
void add_evaluate(Flags& program);
void add_compare(Flags& program);
void add_sweep(Flags& program);
void add_params(Flags& program);
void add_info(Flags& program);
void add_bench(Flags& program);
void add_micro(Flags& program);
void add_report(Flags& program);

}  // namespace sinew::tools
