// Faults from outside the process, for tests that reach the library through a shared object alone:
//   LK_EMULATOR_FAULTS=kernel:cudaErrorIllegalAddress:3,allocate:cudaErrorMemoryAllocation
// kind of call, error, calls of that kind that succeed before it (control.h).
#include <cstdlib>
#include <sstream>
#include <string>

#include "emulator/runtime/state.h"

namespace lk::emulator {
namespace {

bool find_call(const std::string& name, Call& call) {
  static const std::pair<const char*, Call> names[] = {{"any", Call::kAny},
                                                       {"devices", Call::kDevices},
                                                       {"allocate", Call::kAllocate},
                                                       {"launch", Call::kLaunch},
                                                       {"kernel", Call::kKernel},
                                                       {"copy", Call::kCopy},
                                                       {"synchronize", Call::kSynchronize}};
  for (const auto& [text, value] : names) {
    if (name != text) continue;
    call = value;
    return true;
  }
  return false;
}

bool find_error(const std::string& name, cudaError_t& error) {
#define LK_CUDA_ERROR(id, value, text, is_sticky) \
  if (name == "cuda" #id) {                       \
    error = cuda##id;                             \
    return true;                                  \
  }
#include "emulator/include/cuda_errors.inl"
#undef LK_CUDA_ERROR
  return false;
}

}  // namespace

void read_environment() {
  const char* text = std::getenv("LK_EMULATOR_FAULTS");
  std::istringstream faults(text ? text : "");
  for (std::string fault; std::getline(faults, fault, ',');) {
    std::istringstream parts(fault);
    std::string call_name, error_name, skipped;
    std::getline(parts, call_name, ':');
    std::getline(parts, error_name, ':');
    std::getline(parts, skipped, ':');
    Call call;
    cudaError_t error;
    // What is misspelt breaks every call: a test that asked for it cannot pass by accident.
    if (find_call(call_name, call) && find_error(error_name, error)) {
      fail_call(call, error, std::atoi(skipped.c_str()));
    } else {
      fail_call(Call::kAny, cudaErrorUnknown);
    }
  }
}

}  // namespace lk::emulator
