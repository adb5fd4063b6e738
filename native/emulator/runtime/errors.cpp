// Error names, texts and stickiness; faults.
#include <algorithm>
#include <vector>

#include "emulator/runtime/state.h"

namespace lk::emulator {
namespace {

struct Fault {
  Call call;
  cudaError_t error;
  int skipped;
};

std::mutex mutex;
std::vector<Fault> faults;
cudaError_t device_error = cudaSuccess;  // sticky
thread_local cudaError_t last_error = cudaSuccess;
Machine current_machine;

bool sticky(cudaError_t error) {
  switch (error) {
#define LK_CUDA_ERROR(name, value, text, is_sticky) \
  case cuda##name:                                  \
    return is_sticky;
#include "emulator/include/cuda_errors.inl"
#undef LK_CUDA_ERROR
  }
  return false;
}

// With `mutex` held.
cudaError_t due(Call call) {
  for (size_t i = 0; i < faults.size(); ++i) {
    if (faults[i].call != call && !(faults[i].call == Call::kAny && call != Call::kKernel)) continue;
    if (faults[i].skipped-- > 0) continue;
    const cudaError_t error = faults[i].error;
    faults.erase(faults.begin() + static_cast<std::ptrdiff_t>(i));
    if (sticky(error)) device_error = error;
    return error;
  }
  return cudaSuccess;
}

}  // namespace

cudaError_t begin_call(Call call) {
  static std::once_flag environment;
  std::call_once(environment, read_environment);
  std::lock_guard<std::mutex> lock(mutex);
  if (!current_machine.driver) return cudaErrorInsufficientDriver;
  if (device_error != cudaSuccess) return device_error;
  return due(call);
}

cudaError_t kernel_fault() {
  std::lock_guard<std::mutex> lock(mutex);
  return due(Call::kKernel);
}

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void break_device(cudaError_t error) {
  std::lock_guard<std::mutex> lock(mutex);
  if (device_error == cudaSuccess) device_error = error;
}

Machine& machine() {
  return current_machine;
}

void fail_call(Call call, cudaError_t error, int skipped) {
  std::lock_guard<std::mutex> lock(mutex);
  faults.push_back({call, error, skipped});
}

void restore_machine() {
  std::lock_guard<std::mutex> lock(mutex);
  if (device_error != cudaSuccess) {  // what the lost context still held went with it
    drop_memory();
    drop_handles();
  }
  faults.clear();
  device_error = cudaSuccess;
  last_error = cudaSuccess;
  current_machine = {};
}

}  // namespace lk::emulator

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define LK_CUDA_ERROR(name, value, text, is_sticky) \
  case cuda##name:                                  \
    return "cuda" #name;
#include "emulator/include/cuda_errors.inl"
#undef LK_CUDA_ERROR
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define LK_CUDA_ERROR(name, value, text, is_sticky) \
  case cuda##name:                                  \
    return text;
#include "emulator/include/cuda_errors.inl"
#undef LK_CUDA_ERROR
  }
  return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError() {
  const cudaError_t now = lk::emulator::last_error;
  std::lock_guard<std::mutex> lock(lk::emulator::mutex);
  return lk::emulator::device_error != cudaSuccess ? lk::emulator::device_error : now;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  lk::emulator::last_error = cudaSuccess;  // a sticky one stays with the device
  return error;
}
