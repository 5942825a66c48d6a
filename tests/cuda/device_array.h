// n elements of device memory, copied from and to the host; and a child process for what must die.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "cuda/cuda.h"
#include "sinew/error.h"

namespace sinew::test {

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t n) : n_(n) {
    cuda_check(cudaMalloc(&data_, n * sizeof(T)), "malloc");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { set(values); }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  void set(const std::vector<T>& values) {
    cuda_check(cudaMemcpy(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "copy");
  }
  std::vector<T> host() const {
    std::vector<T> values(n_);
    cuda_check(cudaMemcpy(values.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost), "copy");
    return values;
  }

 private:
  size_t n_;
  T* data_ = nullptr;
};

struct End {
  int signal = 0, status = 0;
  std::string output;  // standard error
  bool says(const char* text) const { return output.find(text) != std::string::npos; }
};

// Calls f in a child process; an Error that f throws is printed there and is exit status 3.
template <class F>
End in_child(F f) {
  int ends[2];
  if (pipe(ends)) return {};
  std::fflush(nullptr);  // or the child prints it again
  const pid_t child = fork();
  if (child == 0) {
    for (int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL}) std::signal(signal, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    try {
      f();
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      _exit(3);
    }
    _exit(0);
  }
  close(ends[1]);
  End end;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) end.output.append(buffer, n);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  if (WIFEXITED(status)) end.status = WEXITSTATUS(status);
  return end;
}

}  // namespace sinew::test
