// A failed CUDA call as the library's exception. Apart from cuda.h, so that .cu files need no
// <string>.
#include "sinew/error.h"

namespace sinew {

[[noreturn]] void cuda_fail(const char* what, const char* fact);

void cuda_fail(const char* what, const char* fact) { throw Error(std::string(what) + ": " + fact); }

}  // namespace sinew
