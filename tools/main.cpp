// The program `sinew`: options that every subcommand shares, and the dispatch to one of them.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "commands.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Sinew: deep learning with sine activations on sparse connections.\n"
      "Example: sinew info",
      "sinew"};
  app.set_version_flag("--version", "sinew " SINEW_VERSION);
  app.require_subcommand(1);
  sinew::tools::add_info(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::Error& e) {
    std::fprintf(stderr, "sinew: error: %s\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "sinew: error: %s\n", e.what());
    return 1;
  }
}
