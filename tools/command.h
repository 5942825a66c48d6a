// What every subcommand of the program `sinew` shares: its flags, its errors and exit statuses,
// signals.
//
// A subcommand first reads and checks all its input (a failure there is exit status 2), then calls
// work_starts() and works (a failure there is exit status 1).
#pragma once
#include <functional>
#include <string>

#include "sinew/dtype.h"
#include "sinew/error.h"

namespace CLI {  // CLI11, which takes seconds to compile: included where flags are added
class App;
class Option;
class Validator;
}  // namespace CLI

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

struct RunFlags {
  std::string device = "auto", isa = "auto", precision = "f32", graph = "auto";
  std::string asked_precision;  // by any of its flags
  int threads = 0;              // 0: all
  bool quiet = false;

  void apply() const;          // sets this thread's device, precision, threads and instruction set
  DType data_type() const;     // f32 or f64
  DType network_type() const;  // for Network::to: f32, f64 or bf16

 private:
  bool use_cuda() const;
};
// --device, --threads, --isa, --precision, --graph, --quiet, the reference's names for them, and a
// refusal of its flags that mean nothing here.
void add_run_flags(CLI::App& sub, RunFlags& flags);

// A subcommand that calls `run`; its help ends with an example.
CLI::App* add_command(CLI::App& app, const char* name, const char* what, const char* example,
                      const std::function<void()>& run);
// --NAME/--no-NAME, shown with its default.
CLI::Option* add_switch(CLI::App& sub, const std::string& name, bool& value, const char* what);

// For ->check(): what int64_t holds, and of that what is above 0. (CLI11 alone takes the nearest.)
CLI::Validator whole_number();
CLI::Validator above_zero();

// Results on stdout unless --quiet; throws if they cannot be written.
void print(const RunFlags& flags, const std::string& text);
// One line on stderr unless --quiet.
void notice(const RunFlags& flags, const std::string& text);
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

void add_train(CLI::App& app);
void add_predict(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_compare(CLI::App& app);
void add_sweep(CLI::App& app);
void add_params(CLI::App& app);
void add_info(CLI::App& app);
void add_bench(CLI::App& app);
void add_micro(CLI::App& app);
void add_report(CLI::App& app);

}  // namespace sinew::tools
