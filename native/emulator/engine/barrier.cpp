// Barriers of a block: bar.sync and bar.arrive, sixteen of them; __syncthreads is number 0 for all threads.
#include "emulator/engine/report.h"
#include "emulator/engine/scheduler.h"
#include "emulator/ptx.h"
#include "emulator/race/race.h"

namespace lk::emulator {
namespace {

const char* const kNames[kNamedBarriers] = {
    "barrier 0", "barrier 1", "barrier 2",  "barrier 3",  "barrier 4",  "barrier 5",  "barrier 6",  "barrier 7",
    "barrier 8", "barrier 9", "barrier 10", "barrier 11", "barrier 12", "barrier 13", "barrier 14", "barrier 15"};

Barrier& arrive(int id, int threads) {
  if (id < 0 || id >= kNamedBarriers)
    report_fatal("barrier %d does not exist: they are 0 to %d", id, kNamedBarriers - 1);
  if (threads == kWholeBlock)
    threads = static_cast<int>(current->block->threads.size());
  else if (threads % kWarpSize != 0)
    report_fatal("barrier %d for %d threads: no multiple of a warp", id, threads);
  Barrier& barrier = current->block->barriers[id];
  if (barrier.arrived == 0) barrier.expected = threads;
  if (barrier.expected != threads) {
    report_fatal("barrier %d for %d threads, but others arrived at it for %d", id, threads, barrier.expected);
  }
  ++barrier.arrived;
  return barrier;
}

// Wakes who waits where all have arrived. waits: the current thread does.
bool complete(int id, Barrier& barrier, bool waits) {
  if (race::on) race::arrive(id);
  if (barrier.arrived < barrier.expected) return false;
  barrier.arrived = 0;
  if (race::on) {
    if (barrier.waiting.size() + (waits ? 1 : 0) == current->block->threads.size()) {
      race::begin_epoch();
    } else {
      for (const Thread* thread : barrier.waiting) race::release(id, *thread);
      if (waits) race::release(id, *current);
    }
    race::reset(id);
  }
  for (Thread* thread : barrier.waiting) make_ready(thread);
  barrier.waiting.clear();
  return true;
}

}  // namespace

void bar_sync(int id, int threads) {
  Barrier& barrier = arrive(id, threads);
  if (complete(id, barrier, true)) {
    may_yield();
    return;
  }
  barrier.waiting.push_back(current);
  wait(kNames[id]);
}

void bar_arrive(int id, int threads) {
  complete(id, arrive(id, threads), false);
}

int bar_reduce(bool predicate, int operation) {
  // Counted in a field of the block that two barriers protect: one before it is read, one before it is used again.
  Block& block = *current->block;
  block.votes += predicate;
  bar_sync(0, kWholeBlock);
  const int votes = block.votes;
  bar_sync(0, kWholeBlock);
  if (current->index == 0) block.votes = 0;
  bar_sync(0, kWholeBlock);
  switch (operation) {
    case kCount:
      return votes;
    case kAnd:
      return votes == static_cast<int>(block.threads.size());
    default:
      return votes != 0;
  }
}

}  // namespace lk::emulator
