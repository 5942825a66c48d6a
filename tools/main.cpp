// The program `sinew`: dispatch to a subcommand; its errors become one line and an exit status:
// 2 for wrong usage or input, 1 for a failure during the work, 128 + signal when stopped by one.
#include <cstdio>
#include <exception>
#include <new>

#include "command.h"

namespace {

using namespace sinew::tools;

int fail(const std::string& subcommand, const std::string& text, int status) {
  const std::string who = subcommand.empty() ? "sinew" : "sinew " + subcommand;
  std::fprintf(stderr, "%s: error: %s\n", who.c_str(), one_line(text).c_str());
  return status;
}

int run(Program& program, int argc, char** argv) {
  const std::string first = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  if (!first.empty() && !program.has_command(first))
    return fail("", "unknown subcommand '" + first + "' (see sinew --help)", 2);
  const auto status = [] { return work_started() ? 1 : 2; };
  try {
    print({}, program.run(argc, argv));
    return 0;
  } catch (const Stopped& e) {
    return fail(first, e.what(), 128 + stop_signal());
  } catch (const std::bad_alloc&) {
    return fail(first, "out of memory", status());
  } catch (const std::exception& e) {
    return fail(first, e.what(), status());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Program program("sinew", "sinew " SINEW_VERSION,
                  "Sinew: deep learning with sine activations on sparse connections.\n"
                  "Example: sinew info");
  catch_signals();
  add_train(program);
  add_predict(program);
  add_evaluate(program);
  add_compare(program);
  add_sweep(program);
  add_params(program);
  add_info(program);
  add_bench(program);
  add_micro(program);
  add_report(program);
  return run(program, argc, argv);
}
