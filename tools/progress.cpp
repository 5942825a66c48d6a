// The live line is redrawn in place: carriage return, text, erase to the end of the line.
#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace sinew::tools {

std::string duration(double seconds) {
  char text[48];
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (seconds < 9.95)
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  else if (whole < 60)
    std::snprintf(text, sizeof text, "%lld s", whole);
  else if (whole < 3600)
    std::snprintf(text, sizeof text, "%lld min %lld s", whole / 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%lld h %lld min", whole / 3600, whole % 3600 / 60);
  return text;
}

Progress::Progress(const RunFlags& flags, int64_t total, int64_t done)
    : quiet_(flags.quiet),
      live_(!flags.quiet && isatty(STDERR_FILENO) == 1),
      total_(total),
      first_(done),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (open_) std::fputc('\n', stderr);
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

std::string Progress::eta(int64_t done) const {
  const double left = static_cast<double>(total_ - done), made = static_cast<double>(done - first_);
  return made > 0 ? "ETA " + duration(seconds() * left / made) : "ETA unknown";
}

// A line that wraps could not be redrawn in place: the text is cut to the terminal's width.
void Progress::show(int64_t done, const std::string& text) {
  const std::string left = "  " + eta(done);
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > left.size() + 1;
  const size_t room = known ? size.ws_col - left.size() - 1 : text.npos;
  std::fprintf(stderr, "\r%s%s\x1b[K", text.substr(0, room).c_str(), left.c_str());
  std::fflush(stderr);
  open_ = true;
}

void Progress::step(int64_t done, const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (!live_ || now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  show(done, text);
}

void Progress::unit(int64_t done, const std::string& text) {
  if (live_)
    show(done, text);
  else if (!quiet_)
    std::fprintf(stderr, "%s  %s\n", text.c_str(), eta(done).c_str());
}

}  // namespace sinew::tools
