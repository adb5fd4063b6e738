// Shared memory of the running block, and its 32-bit addresses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/engine/thread.h"

namespace lk::emulator {

// Shared addresses of PTX are offsets into a window whose first KiB belongs to the system, as on sm_90.
constexpr uint32_t kWindowStart = 1024;

void begin_shared(Block& block);  // memory of shared_size bytes, poisoned
bool end_shared(Block& block);    // false: something was written behind its end

// The bytes [address, address + bytes) of the shared window; fatal where they are not all within the block's memory.
unsigned char* shared_at(uint32_t address, size_t bytes);

}  // namespace lk::emulator
