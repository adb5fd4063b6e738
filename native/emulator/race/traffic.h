// Counts what the loads and stores of a warp cost: conflicts of banks, and sectors of global memory (Statistics in control.h).
#pragma once

#include <cstddef>

namespace lk::emulator::traffic {

// An access of the current thread. Those that the lanes of a warp make by the same instruction for the same time are one request.
void note(const void* address, size_t bytes, const void* instruction);
void end_block();

}  // namespace lk::emulator::traffic
