// The race checker: which accesses to shared and global memory are ordered, by barriers, warp synchronisation, launches, or
// atomics with fences. Works on kernels that were compiled with -fsanitize=thread: their loads and stores come in by hooks.cpp.
// In other builds `on` is false, and nothing of this is called.
//
// Time is counted in epochs: one begins with every block and with every barrier that all threads of a block wait for. What
// happened in an earlier epoch of the same block, or in an earlier launch, is ordered before what happens now. Within an epoch
// each thread has a clock, and knows how far the others' have come (by __syncwarp and partial barriers). What another block of
// the same launch did is ordered only by way of an atomic.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/engine/thread.h"

namespace lk::emulator::race {

extern bool on;

enum Kind { kRead, kWrite, kAtomic };

void begin_launch();
void begin_block();
void begin_epoch();  // all threads of the block have met

// The threads of `mask` have met: each knows what the others do.
void meet(const Warp& warp, uint32_t mask);
// A barrier of some threads: every arrival adds what the thread knows, every release takes it.
void arrive(int barrier);
void release(int barrier, const Thread& thread);
void reset(int barrier);

// An access of the current thread.
void access(const void* address, size_t bytes, Kind kind);
// Shared memory that cp.async is on its way to; anything that touches it before landed() is wrong.
void in_flight(const void* address, size_t bytes);
void landed(const void* address, size_t bytes);

void fence();
void atomic_at(const void* address);

}  // namespace lk::emulator::race
