// The state of a running launch: threads, warps and blocks. One host thread runs a launch at a time (see run_grid), so that all
// of this is plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/engine/fiber.h"
#include "emulator/include/vector_types.h"
#include "emulator/ptx.h"

namespace lk::emulator {

constexpr int kWarpSize = 32;
constexpr int kMaxBlockThreads = 1024;
constexpr int kNamedBarriers = 16;

struct Block;
struct Warp;

struct Thread {
  dim3 position;  // threadIdx
  Block* block = nullptr;
  Warp* warp = nullptr;
  Fiber* fiber = nullptr;  // null until it first runs
  int index = 0;           // within the block
  int lane = 0;
  bool ended = false;
  const char* waits_for = "";  // told where threads never go on
};

// A warp collective gathers the lanes' arguments here; the lane that arrives last does the work for all.
struct Warp {
  uint32_t alive = 0, arrived = 0;
  Thread* threads[kWarpSize] = {};
  void* arguments[kWarpSize] = {};
  uint32_t masks[kWarpSize] = {};
  const char* operations[kWarpSize] = {};
};

struct Barrier {
  int arrived = 0, expected = 0;
  std::vector<Thread*> waiting;
};

struct Block {
  dim3 index;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barriers[kNamedBarriers];
  unsigned char* shared = nullptr;
  int alive = 0;
  int votes = 0;  // of __syncthreads_count and its like
};

extern Thread* current;  // null while no kernel runs; changed by set_current alone
void set_current(Thread* thread);
inline bool on_own_stack(const void* address) {
  const Fiber* fiber = current->fiber;
  return static_cast<size_t>(static_cast<const char*>(address) - fiber->stack) < fiber->stack_bytes;
}
extern size_t shared_size;  // dynamic shared memory of a block, in bytes

}  // namespace lk::emulator
