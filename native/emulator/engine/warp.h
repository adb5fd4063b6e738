// How a warp acts as one: each lane brings its arguments, the last one of the mask to arrive does the work for all.
#pragma once

#include "emulator/engine/report.h"
#include "emulator/engine/scheduler.h"

namespace lk::emulator {

constexpr uint32_t kAllLanes = 0xffffffffu;

// Enters a collective; true for the lane that arrives last, which works and then calls leave_collective. For the others it
// returns false when that is done. Lanes that came with another operation or mask are fatal: a GPU would hang or compute
// nonsense.
bool enter_collective(const char* operation, uint32_t mask, void* arguments);
void leave_collective(uint32_t mask);

// work(arguments of all 32 lanes, warp); only those in the mask are valid.
template <class Arguments, class Work>
void collective(const char* operation, uint32_t mask, Arguments& arguments, Work work) {
  if (!enter_collective(operation, mask, &arguments)) return;
  Warp& warp = *current->warp;
  work(reinterpret_cast<Arguments**>(warp.arguments), warp);
  leave_collective(mask);
}

}  // namespace lk::emulator
