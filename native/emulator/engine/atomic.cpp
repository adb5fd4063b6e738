// Atomics, fences and the few other things that one thread does alone.
#include <cstring>

#include "emulator/engine/report.h"
#include "emulator/engine/scheduler.h"
#include "emulator/ptx.h"
#include "emulator/race/race.h"

namespace lk::emulator {
namespace {

void check(const void* address, int bytes) {
  if (!race::on) return;
  race::atomic_at(address);
  race::access(address, static_cast<size_t>(bytes), race::kAtomic);
}

}  // namespace

uint64_t atomic_update(void* address, int bytes, uint64_t operand, uint64_t (*function)(uint64_t, uint64_t)) {
  check(address, bytes);
  uint64_t old = 0;
  std::memcpy(&old, address, bytes);
  const uint64_t updated = function(old, operand);
  std::memcpy(address, &updated, bytes);
  may_yield();
  return old;
}

uint64_t atomic_exchange_if(void* address, int bytes, uint64_t expected, uint64_t desired) {
  check(address, bytes);
  uint64_t old = 0;
  std::memcpy(&old, address, bytes);
  if (old == expected) std::memcpy(address, &desired, bytes);
  may_yield();
  return old;
}

void memory_fence() {
  if (race::on) race::fence();
}

void pause() {
  yield("a poll");
}

uint64_t clock() {
  static uint64_t cycles = 0;
  return cycles += 50;
}

void trap(const char* what) {
  report_fatal("%s", what);
}

}  // namespace lk::emulator
