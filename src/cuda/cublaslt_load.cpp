// cuBLASLt by dlopen: linked, its hundreds of megabytes would be loaded at every start of a
// program, also of one that never asks for the GPU. Once loaded it stays.
#include <dlfcn.h>

#include <cstdlib>

#include "cuda/cublaslt_api.h"
#include "sinew/error.h"

namespace sinew::lt {
namespace {

struct Library {
  void* library;
  const std::string& file;

  template <class F>
  void find(F& function, const char* name) const {
    function = reinterpret_cast<F>(dlsym(library, name));
    if (!function) throw Error("matmul: " + file + " lacks " + name);
  }
};

}  // namespace

Functions load(const std::vector<std::string>& files) {
  std::string facts;
  for (const std::string& file : files) {
    const Library library{dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL), file};
    if (!library.library) {
      const char* why = dlerror();
      if (facts.empty() && why) facts = why;  // the first names the library that is wanted
      continue;
    }
    Functions f;
    library.find(f.create, "cublasLtCreate");
    library.find(f.status_name, "cublasLtGetStatusName");
    library.find(f.desc_create, "cublasLtMatmulDescCreate");
    library.find(f.desc_destroy, "cublasLtMatmulDescDestroy");
    library.find(f.desc_set, "cublasLtMatmulDescSetAttribute");
    library.find(f.layout_create, "cublasLtMatrixLayoutCreate");
    library.find(f.layout_destroy, "cublasLtMatrixLayoutDestroy");
    library.find(f.preference_create, "cublasLtMatmulPreferenceCreate");
    library.find(f.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    library.find(f.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    library.find(f.heuristic, "cublasLtMatmulAlgoGetHeuristic");
    library.find(f.matmul, "cublasLtMatmul");
    return f;
  }
  throw Error("matmul: cuBLASLt was not found (" + facts + ")");
}

std::vector<std::string> usual_files() {
  std::vector<std::string> folders = {""};
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"})
    if (const char* root = std::getenv(variable); root && *root)
      folders.push_back(std::string(root) + "/lib64/");
  folders.emplace_back("/usr/local/cuda/lib64/");
  std::vector<std::string> files;
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so"})
    for (const std::string& folder : folders) files.push_back(folder + name);
  return files;
}

}  // namespace sinew::lt
