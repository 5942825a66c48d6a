// Pictures by the program gnuplot, where it is installed.
//
// A script may hold text of files only as gnuplot_text(): gnuplot runs shell commands from
// backquotes between double quotes, and from file names that start with '<' or '|'.
#pragma once
#include <string>

namespace sinew::tools {

bool gnuplot_found();  // an executable of this name in PATH
// Runs a script in `folder`, which its file names are relative to; no shell takes part, nor does
// the user's .gnuplot. Throws with the first line that gnuplot complained with.
void gnuplot(const std::string& script, const std::string& folder);
// The picture FOLDER/FILE, .png or .svg: `terminal` ("set terminal ...") and `script` without "set
// output". It appears whole or not at all; gnuplot itself does not notice a full disk.
void gnuplot_picture(const std::string& folder, const std::string& file,
                     const std::string& terminal, const std::string& script);
// In single quotes, without control characters; a quote in it becomes a typographic one.
std::string gnuplot_text(const std::string& text);

}  // namespace sinew::tools
