// The subcommands of the program `sinew`, one file each.
#pragma once
#include <CLI/CLI.hpp>

namespace sinew::tools {

void add_info(CLI::App& app);

}  // namespace sinew::tools
