// cp.async: the destination is poisoned when a copy is issued; the data lands when the thread waits for its group, or at a
// random moment before it. Whoever reads too early reads NaN, whoever writes too late is overwritten.
#include <cstring>
#include <vector>

#include "emulator/control.h"
#include "emulator/engine/report.h"
#include "emulator/engine/scheduler.h"
#include "emulator/engine/shared.h"
#include "emulator/ptx.h"
#include "emulator/race/race.h"

namespace lk::emulator {
namespace {

constexpr unsigned char kPoison = 0xff;

struct Copy {
  unsigned char* to;
  const void* from;
  uint32_t bytes, from_bytes;
  uint64_t group;
};

// Of one thread. A copy is in group `committed` until that is committed.
struct Copies {
  std::vector<Copy> pending;  // in no order
  uint64_t committed = 0;     // groups
  bool any_open = false;      // since the last commit
};

Copies of_thread[kMaxBlockThreads];
size_t pending_copies = 0;

void land(Copies& copies, size_t i) {
  const Copy copy = copies.pending[i];
  copies.pending[i] = copies.pending.back();
  copies.pending.pop_back();
  --pending_copies;
  if (copy.from_bytes > 0) std::memcpy(copy.to, copy.from, copy.from_bytes);
  std::memset(copy.to + copy.from_bytes, 0, copy.bytes - copy.from_bytes);
  if (race::on) race::landed(copy.to, copy.bytes);
}

// The race checker wants every copy to be under way until it is waited for.
bool pending() {
  return pending_copies > 0 && !race::on;
}

void step() {
  for (size_t i = random_bits() % kMaxBlockThreads;; i = (i + 1) % kMaxBlockThreads) {
    Copies& copies = of_thread[i];
    if (copies.pending.empty()) continue;
    land(copies, random_bits() % copies.pending.size());
    return;
  }
}

void thread_ended(Thread& thread) {
  Copies& copies = of_thread[thread.index];
  if (copies.committed == 0 && !copies.any_open) return;
  if (!copies.pending.empty()) report("the thread ends, but did not wait for its cp.async");
  while (!copies.pending.empty()) land(copies, 0);
  copies.committed = 0;
  copies.any_open = false;
}

void forget() {
  for (Copies& copies : of_thread) copies = {};
  pending_copies = 0;
}

const int registered = add_background({pending, step, thread_ended, forget});

}  // namespace

void cp_async(uint32_t to, const void* from, uint32_t bytes, uint32_t from_bytes) {
  (void)registered;
  if (bytes != 4 && bytes != 8 && bytes != 16) report_fatal("cp.async of %u bytes: only 4, 8 and 16 exist", bytes);
  if (from_bytes > bytes) report_fatal("cp.async of %u bytes from %u", bytes, from_bytes);
  if (to % bytes != 0 || reinterpret_cast<uintptr_t>(from) % bytes != 0) {
    report_fatal("cp.async of %u bytes from %p to shared address %u: not aligned", bytes, from, to);
  }
  Copies& copies = of_thread[current->index];
  copies.pending.push_back({shared_at(to, bytes), from, bytes, from_bytes, copies.committed});
  copies.any_open = true;
  ++pending_copies;
  if (race::on) {
    if (from_bytes > 0) race::access(from, from_bytes, race::kRead);
    race::access(copies.pending.back().to, bytes, race::kWrite);
    race::in_flight(copies.pending.back().to, bytes);
  }
  if (!settings().defer_copies) {
    land(copies, copies.pending.size() - 1);
    return;
  }
  std::memset(copies.pending.back().to, kPoison, bytes);
}

void cp_async_commit() {
  Copies& copies = of_thread[current->index];
  ++copies.committed;
  copies.any_open = false;
}

void cp_async_wait(int pending_groups) {
  Copies& copies = of_thread[current->index];
  for (size_t i = 0; i < copies.pending.size();) {
    // Group g is done when at most pending_groups were committed after it.
    const bool due = copies.pending[i].group + static_cast<uint64_t>(pending_groups) < copies.committed;
    if (due) {
      land(copies, i);
    } else {
      ++i;
    }
  }
  may_yield();
}

}  // namespace lk::emulator
