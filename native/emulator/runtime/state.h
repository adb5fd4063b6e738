// What the calls of the emulated runtime share: errors that stay, errors of this thread, and faults to play.
#pragma once

#include <mutex>

#include "emulator/control.h"
#include "emulator/include/cuda_runtime_api.h"

namespace lk::emulator {

// The beginning of every call: the sticky error, or the fault that was asked for, or cudaSuccess.
cudaError_t begin_call(Call call);

// Remembers an error for cudaGetLastError and returns it.
cudaError_t result(cudaError_t error);

// A kernel failed: every later call says so.
void break_device(cudaError_t error);

// A fault of kind kKernel that is due, or cudaSuccess.
cudaError_t kernel_fault();

bool valid(cudaStream_t stream);

// Frees all memory, pools, streams and events: their context is lost.
void drop_memory();
void drop_handles();

// Asks for the faults that the environment names; environment.cpp has their form.
void read_environment();

}  // namespace lk::emulator

// The beginning of a function of the runtime.
#define LK_BEGIN_CALL(call)                                                                                   \
  if (const cudaError_t begun = ::lk::emulator::begin_call(::lk::emulator::Call::call); begun != cudaSuccess) \
  return ::lk::emulator::result(begun)
