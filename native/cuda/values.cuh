// What stands in I32 tensors (ids, labels, positions, sequences) is known to kernels alone. They leave out what a value out
// of range stands for, and report the first that they meet; the device checks for reports whenever it waits for its stream
// (CudaDevice::synchronize), and throws what the CPU backend throws at once.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/device.h"

namespace lk::cuda {

// In page-locked host memory that kernels write: one report, until it has been thrown.
struct ValueReport {
  int32_t state;  // 0: none, 1: being written, 2: complete
  int32_t values[4];
  int64_t place;
  const char *operation, *argument;
  int64_t begin, end;  // where values must lie; an end below 0: a sequence of attention
};

// Passed to kernels by value.
struct ValueCheck {
  __device__ bool holds(int64_t value) const { return value >= begin && value < end; }

  // Whether element `place` of the argument may be used; reports it where not.
  __device__ bool test(int64_t place, int32_t value) const {
    if (holds(value)) return true;
    write(place, value, 0, 0, 0);
    return false;
  }
  __device__ void write(int64_t place, int32_t a, int32_t b, int32_t c, int32_t d) const {
    if (atomicCAS(&report->state, 0, 1) != 0) return;
    report->values[0] = a;
    report->values[1] = b;
    report->values[2] = c;
    report->values[3] = d;
    report->place = place;
    report->operation = operation;
    report->argument = argument;
    report->begin = begin;
    report->end = end;
    __threadfence_system();
    atomicExch(&report->state, 2);
  }

  ValueReport* report;
  const char *operation, *argument;  // of the host; never read on the device
  int64_t begin, end;
};

// operation and argument: static strings.
ValueCheck check_values(Device& device, const char* operation, const char* argument, int64_t begin, int64_t end);
ValueCheck check_sequences(Device& device, const char* operation);

// Throws Error(LK_INVALID_ARGUMENT) with what a kernel reported, and forgets it.
void throw_reported(ValueReport& report);

}  // namespace lk::cuda
