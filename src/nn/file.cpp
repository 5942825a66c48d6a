// Whole files. Reading: the size is compared with the machine's memory first. Writing: see io.h;
// the temporary is .sinew-<process>-<number>.tmp in the folder of the target.
#include "nn/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <system_error>

namespace sinew {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_at(const std::string& path, const char* what, int error) {
  throw Error(printable(path) + ": " + what + " (" + reason(error) + ")");
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return number_; }

 private:
  int number_;
};

void require_fits(const std::string& path, uint64_t size) {
  const uint64_t memory = memory_of_machine();
  if (size > memory)
    throw Error(printable(path) + ": file is larger than memory (" + std::to_string(size) +
                " bytes, memory " + std::to_string(memory) + ")");
}

// Where a rename must go to replace what `path` shows, not a link on the way.
std::string without_links(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (!resolved) fail_at(path, "cannot be written", errno);
  std::string out = resolved;
  std::free(resolved);
  return out;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// Bytes of the UTF-8 character at the start of a text; 0 if there is none or a control character.
size_t length_if_shown(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  uint32_t code = lead & 0x7fu >> length;
  for (size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    code = code << 6 | (byte(i) & 63);
  }
  constexpr uint32_t first[] = {0xa0, 0x800, 0x10000};  // below are controls and overlong forms
  const bool shown = code >= first[length - 2] && code <= 0x10ffff && code >> 11 != 0xd800 >> 11;
  return shown ? length : 0;
}

}  // namespace

uint64_t memory_of_machine() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string printable(std::string_view text, size_t longest) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    if (out.size() >= longest) return out + "...";
    const size_t length = length_if_shown(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length > 0)
      out += text.substr(0, length);
    else
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits >> 15) << 31;
  const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 0) {  // zero and subnormal: fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

std::string read_file(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (*file < 0 || fstat(*file, &status) != 0) fail_at(path, "cannot be read", errno);
  if (S_ISDIR(status.st_mode)) throw Error(printable(path) + ": is a folder");
  const bool sized = S_ISREG(status.st_mode) && status.st_size > 0;
  std::string contents;
  size_t size = 0;
  const size_t expected = sized ? static_cast<size_t>(status.st_size) : 65536;
  for (;;) {
    if (size == contents.size()) {
      if (size > 0 && sized) break;  // what is appended meanwhile is left
      const size_t larger = size == 0 ? expected : 2 * size;
      require_fits(path, larger);
      contents.resize(larger);
    }
    const ssize_t got = ::read(*file, contents.data() + size, contents.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_at(path, "cannot be read", errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  contents.resize(size);
  return contents;
}

OutputFile::OutputFile(const std::string& path) : path_(path), target_(path) {
  static std::atomic<int> counter{0};
  struct stat status;
  const bool exists = stat(path.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) fail("cannot be written", errno);
  if (exists && S_ISDIR(status.st_mode)) throw Error(printable(path_) + ": is a folder");
  if (exists && !S_ISREG(status.st_mode)) {
    descriptor_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("cannot be written", errno);
    return;
  }
  if (exists) target_ = without_links(path);
  do {
    temporary_ = folder_of(target_) + "/.sinew-" + std::to_string(getpid()) + "-" +
                 std::to_string(counter++) + ".tmp";
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("cannot be written", errno);
  }
  if (exists) fchmod(descriptor_, status.st_mode & 07777);  // fails on a file of another user
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::fail(const char* what, int error) { fail_at(path_, what, error); }

void OutputFile::write(const void* data, size_t size) {
  const char* p = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::write(descriptor_, p, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("writing failed", errno);
    p += done;
    size -= static_cast<size_t>(done);
  }
}

void OutputFile::commit() {
  if (!temporary_.empty() && fsync(descriptor_) != 0) fail("writing failed", errno);
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail("writing failed", errno);
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be replaced", errno);
  temporary_.clear();
  const Descriptor folder(open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (*folder >= 0) fsync(*folder);  // the file is whole either way; this makes its name last
}

void write_file(const std::string& path, std::string_view content) {
  OutputFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

}  // namespace sinew
