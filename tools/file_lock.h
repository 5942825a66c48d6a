// Keeps other processes out of a folder, also those of other machines that share it.
#pragma once
#include <cstdint>
#include <string>

namespace sinew::tools {

class FileLock {
 public:
  enum class Kind : uint8_t { alone, shared, wait };  // wait: alone, after the others
  // Of a folder, or of a file, which is made if it does not exist. Throws `taken` if somebody else
  // has it; messages start with `path`. (A folder cannot be locked on NFS, a file can.)
  FileLock(const std::string& path, Kind kind, const std::string& taken);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace sinew::tools
