// Starting a kernel: every thread of the grid calls the same function. What cudaLaunchKernelEx and launch() come down to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/include/vector_types.h"

namespace lk::emulator {

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;
  dim3 cluster{1, 1, 1};
};

// Runs body(context) once for every thread of the grid and returns when all have ended. Launches of several host threads run
// one after another. False: a thread did what kills a kernel on a GPU (an access outside shared memory, a deadlock); the
// reason is among the findings, and the other threads were abandoned where they were.
bool run_grid(const LaunchShape& shape, void (*body)(const void* context), const void* context);

}  // namespace lk::emulator
