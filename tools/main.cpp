// The program `sinew`: dispatch to a subcommand; its errors become one line and an exit status:
// 2 for wrong usage or input, 1 for a failure during the work, 128 + signal when stopped by one.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "command.h"

namespace {

using namespace sinew::tools;

int fail(const std::string& subcommand, const std::string& text, int status) {
  const std::string who = subcommand.empty() ? "sinew" : "sinew " + subcommand;
  std::fprintf(stderr, "%s: error: %s\n", who.c_str(), one_line(text).c_str());
  return status;
}

// The first argument that nobody knows, else what CLI11 says.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto unknown = app.remaining(true);
  return unknown.empty() ? error.what() : "unknown argument " + unknown[0] + " (see --help)";
}

int run(CLI::App& app, int argc, char** argv) {
  const std::string first = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  const auto known = app.get_subcommands([&](const CLI::App* s) { return s->get_name() == first; });
  if (!first.empty() && known.empty())
    return fail("", "unknown subcommand '" + first + "' (see sinew --help)", 2);
  const auto status = [] { return work_started() ? 1 : 2; };
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& e) {  // --help, --version
    const int status = app.exit(e);
    std::cout.flush();
    return std::cout ? status : fail(first, "standard output: writing failed", 1);
  } catch (const CLI::ParseError& e) {
    return fail(first, usage_error(app, e), 2);
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
  CLI::App app{
      "Sinew: deep learning with sine activations on sparse connections.\n"
      "Example: sinew info",
      "sinew"};
  app.set_version_flag("--version", "sinew " SINEW_VERSION);
  app.require_subcommand(1);
  catch_signals();
  add_train(app);
  add_predict(app);
  add_evaluate(app);
  add_compare(app);
  add_sweep(app);
  add_params(app);
  add_info(app);
  add_bench(app);
  add_micro(app);
  add_report(app);
  return run(app, argc, argv);
}
