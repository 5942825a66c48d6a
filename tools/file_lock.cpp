// flock: the lock ends with the process, however that ends.
#include "file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sinew/error.h"

namespace sinew::tools {
namespace {

int open_for_lock(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
}

int operation(FileLock::Kind kind) {
  if (kind == FileLock::Kind::wait) return LOCK_EX;
  return (kind == FileLock::Kind::alone ? LOCK_EX : LOCK_SH) | LOCK_NB;
}

}  // namespace

FileLock::FileLock(const std::string& path, Kind kind, const std::string& taken)
    : file_(open_for_lock(path)) {
  if (file_ >= 0 && flock(file_, operation(kind)) == 0) return;
  const int fault = errno;
  if (file_ >= 0) close(file_);
  throw Error(path + ": " +
              (fault == EWOULDBLOCK
                   ? taken
                   : "cannot be locked (" + std::string(std::strerror(fault)) + ")"));
}

FileLock::~FileLock() { close(file_); }

}  // namespace sinew::tools
