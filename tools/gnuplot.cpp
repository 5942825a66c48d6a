// posix_spawn with the script on standard input. Script and complaints pass through nameless
// temporary files: pipes could block when gnuplot writes before it has read everything.
#include "gnuplot.h"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "sinew/error.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

File temporary() {
  File file(std::tmpfile());
  if (!file) throw Error("gnuplot: no temporary file (" + std::string(std::strerror(errno)) + ")");
  return file;
}

std::string program() {
  const char* path = std::getenv("PATH");
  for (std::string rest = path == nullptr ? "" : path; !rest.empty();) {
    const auto end = rest.find(':');
    const std::string name = rest.substr(0, end) + "/gnuplot";
    rest = end == rest.npos ? "" : rest.substr(end + 1);
    struct stat status;
    if (name[0] == '/' && stat(name.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
        access(name.c_str(), X_OK) == 0)
      return name;
  }
  return "";
}

// What there is in the file: the first line with letters that is no echo of the script.
std::string complaint(std::FILE* file) {
  std::rewind(file);
  std::string text(1 << 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const auto error = text.find("line ");
  text.erase(0, error == text.npos ? text.find_first_not_of(" \n\t^") : error);
  return printable(text.substr(0, text.find('\n')), 200);
}

// The exit status as waitpid gives it; -1 if it could not be started.
int run(const std::string& path, const std::string& folder, std::FILE* in, std::FILE* err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_adddup2(&actions, fileno(in), 0);
  posix_spawn_file_actions_adddup2(&actions, fileno(err), 1);
  posix_spawn_file_actions_adddup2(&actions, fileno(err), 2);
  std::string name = "gnuplot", plain = "-d", input = "-";
  char* arguments[] = {name.data(), plain.data(), input.data(), nullptr};
  pid_t child = 0;
  int status = -1;
  if (posix_spawn(&child, path.c_str(), &actions, nullptr, arguments, environ) == 0)
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  posix_spawn_file_actions_destroy(&actions);
  return status;
}

}  // namespace

bool gnuplot_found() { return !program().empty(); }

void gnuplot(const std::string& script, const std::string& folder) {
  const std::string path = program();
  if (path.empty()) throw Error("gnuplot: is not in PATH");
  const File in = temporary(), err = temporary();
  if (std::fwrite(script.data(), 1, script.size(), in.get()) != script.size() ||
      std::fflush(in.get()) != 0)
    throw Error("gnuplot: writing its script failed (" + std::string(std::strerror(errno)) + ")");
  std::rewind(in.get());
  const int status = run(path, folder, in.get(), err.get());
  if (status != 0) throw Error("gnuplot: failed (" + complaint(err.get()) + ")");
}

void gnuplot_picture(const std::string& folder, const std::string& file,
                     const std::string& terminal, const std::string& script) {
  const std::string temporary = ".sinew-plot.tmp", path = folder + "/" + temporary;
  const bool svg = file.size() > 4 && file.compare(file.size() - 4, 4, ".svg") == 0;
  const std::string end = svg ? "</svg>" : "IEND";
  gnuplot(terminal + "\nset output '" + temporary + "'\n" + script + "\nunset output\n", folder);
  const std::string picture = read_file(path);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  if (picture.find(end, picture.size() - std::min<size_t>(picture.size(), 16)) == picture.npos)
    throw Error(folder + "/" + file + ": gnuplot could not write all of it (is the disk full?)");
  write_file(folder + "/" + file, picture);
}

std::string gnuplot_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) continue;
    if (c == '\'')
      out += "\u2019";  // a doubled ' does not work everywhere: gnuplot 5.4 misreads '''x'
    else
      out += c;
  }
  return out + "'";
}

}  // namespace sinew::tools
