// What the tests of the emulator share: a launch, and bodies that run under several schedules.
#pragma once

#include <cuda_runtime.h>

#include <string>
#include <vector>

#include "emulator/control.h"
#include "test/harness.h"

namespace lk::test {

// In order, uniform and one warp far ahead, with two orders of the latter each.
inline constexpr uint64_t kSchedules[] = {0, 1, 2, 7, 8};

template <typename... Parameters, typename... Arguments>
cudaError_t run_kernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                       Arguments... arguments) {
  cudaLaunchConfig_t config;
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, arguments...);
  return error == cudaSuccess ? cudaDeviceSynchronize() : error;
}

// body() under every kind of schedule; nothing may be found.
template <typename F>
void under_all_schedules(F body) {
  emulator::restore_machine();
  emulator::take_findings();
  for (uint64_t seed : kSchedules) {
    emulator::settings().seed = seed;
    body();
    for (const std::string& finding : emulator::take_findings()) CHECK_TEXT(false, finding);
  }
  emulator::settings().seed = 0;
}

// body() must be found wrong with a text that contains `expected`, whatever the schedule.
template <typename F>
void must_find(const char* expected, F body) {
  for (uint64_t seed : kSchedules) {
    emulator::restore_machine();
    emulator::take_findings();
    emulator::settings().seed = seed;
    body();
    bool found = false;
    std::string all;
    for (const std::string& finding : emulator::take_findings()) {
      found |= finding.find(expected) != std::string::npos;
      all += finding + "; ";
    }
    emulator::restore_machine();
    CHECK_TEXT(found, std::string("expected ") + expected + ", found " + all);
  }
  emulator::settings().seed = 0;
}

}  // namespace lk::test
