#include "emulator/race/race.h"

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "emulator/engine/report.h"
#include "emulator/engine/scheduler.h"

namespace lk::emulator::race {

bool on = false;

namespace {

// One access that is remembered. thread: within its block.
struct Record {
  uint32_t epoch = 0;  // 0: none
  uint32_t clock = 0;
  uint16_t thread = 0;
  bool atomic = false;
};

// What is known about one byte.
struct Cell {
  Record write, reads[2];
  uint32_t flight = 0;  // the epoch of the block that issued a copy to it, while that is under way
};

constexpr size_t kPageBytes = 4096;
constexpr size_t kMostPages = 2048;  // some 400 MiB of cells; more are forgotten between launches
using Page = std::unique_ptr<Cell[]>;
std::unordered_map<uintptr_t, Page> pages;
uintptr_t last_page = 0;
Cell* last_cells = nullptr;

uint32_t epoch = 0;                          // now
uint32_t block_epoch = 0, launch_epoch = 0;  // the first of the running block and launch

// Of the threads of the running block, within the epoch that `stamp` names.
struct Knowledge {
  uint32_t stamp = 0;
  uint32_t clock = 1;
  bool fenced = false;
  std::vector<uint32_t> seen;  // of the others' clocks; empty: nothing
};
Knowledge of_thread[kMaxBlockThreads];
std::vector<uint32_t> of_barrier[kNamedBarriers];

// Other blocks' work that this block may rely on, by way of atomics.
struct Released {
  uint32_t first, last;  // epochs
  uint32_t partial;      // an epoch of which only `thread` is covered
  uint16_t thread;

  auto key() const { return std::tie(first, last, partial, thread); }
  bool operator<(const Released& other) const { return key() < other.key(); }
  bool operator==(const Released& other) const { return key() == other.key(); }
};
std::unordered_map<const void*, std::vector<Released>> released_at;
std::vector<Released> acquired;

Knowledge& knowledge(int thread) {
  Knowledge& k = of_thread[thread];
  if (k.stamp != epoch) {
    if (k.stamp < block_epoch) k.fenced = false;
    k.stamp = epoch;
    k.clock = 1;
    k.seen.clear();
  }
  return k;
}

Cell& cell(uintptr_t address) {
  const uintptr_t page = address / kPageBytes;
  if (page != last_page || !last_cells) {
    Page& cells = pages[page];
    if (!cells) cells = std::make_unique<Cell[]>(kPageBytes);
    last_page = page;
    last_cells = cells.get();
  }
  return last_cells[address % kPageBytes];
}

bool released(const Record& r) {
  return std::any_of(acquired.begin(), acquired.end(), [&](const Released& other) {
    return (r.epoch >= other.first && r.epoch <= other.last) || (r.epoch == other.partial && r.thread == other.thread);
  });
}

bool ordered(const Record& r, const Knowledge& mine) {
  if (r.epoch < launch_epoch) return true;
  if (r.epoch < block_epoch) return released(r);
  if (r.epoch < epoch || r.thread == current->index) return true;
  return r.thread < mine.seen.size() && r.clock <= mine.seen[r.thread];
}

bool in_shared(uintptr_t address) {
  return address - reinterpret_cast<uintptr_t>(current->block->shared) < shared_size;
}

// "shared memory + 12" or "global memory"
std::string place(uintptr_t address) {
  if (!in_shared(address)) return "global memory";
  return "shared memory + " + std::to_string(address - reinterpret_cast<uintptr_t>(current->block->shared));
}

void report_race(const char* now, const char* then, const Record& r, uintptr_t address) {
  const bool other_block = r.epoch < block_epoch;
  report("race: a %s of %s is not ordered with a %s by thread %d of %s", now, place(address).c_str(), then, r.thread,
         other_block ? "another block" : "this block");
}

void join(std::vector<uint32_t>& to, const std::vector<uint32_t>& from) {
  if (to.size() < from.size()) to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) to[i] = std::max(to[i], from[i]);
}

void join_own(std::vector<uint32_t>& to, int thread, uint32_t clock) {
  if (to.size() <= static_cast<size_t>(thread)) to.resize(thread + 1);
  to[thread] = std::max(to[thread], clock);
}

}  // namespace

void begin_launch() {
  launch_epoch = epoch + 1;
  released_at.clear();
  if (pages.size() > kMostPages) {
    pages.clear();
    last_cells = nullptr;
  }
}

void begin_block() {
  block_epoch = ++epoch;
  acquired.clear();
  for (auto& barrier : of_barrier) barrier.clear();
}

void begin_epoch() {
  ++epoch;
}

void meet(const Warp& warp, uint32_t mask) {
  static std::vector<uint32_t> all;
  all.clear();
  for (int i = 0; i < kWarpSize; ++i) {
    if (!(mask >> i & 1)) continue;
    const int thread = warp.threads[i]->index;
    Knowledge& k = knowledge(thread);
    join(all, k.seen);
    join_own(all, thread, k.clock);
  }
  for (int i = 0; i < kWarpSize; ++i) {
    if (!(mask >> i & 1)) continue;
    Knowledge& k = knowledge(warp.threads[i]->index);
    k.seen = all;
    ++k.clock;
  }
}

void arrive(int barrier) {
  Knowledge& mine = knowledge(current->index);
  join(of_barrier[barrier], mine.seen);
  join_own(of_barrier[barrier], current->index, mine.clock);
  ++mine.clock;
}

void release(int barrier, const Thread& thread) {
  join(knowledge(thread.index).seen, of_barrier[barrier]);
}

void reset(int barrier) {
  of_barrier[barrier].clear();
}

void access(const void* pointer, size_t bytes, Kind kind) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(pointer);
  const Knowledge& mine = knowledge(current->index);
  const Record now{epoch, mine.clock, static_cast<uint16_t>(current->index), kind == kAtomic};
  const char* const what = kind == kRead ? "read" : kind == kWrite ? "write" : "atomic";
  const bool shared = in_shared(start);
  for (uintptr_t at = start; at < start + bytes; ++at) {
    Cell& c = cell(at);
    if (shared) {
      if (c.write.epoch < block_epoch) c.write = {};  // another block's, which had this memory before
      for (Record& read : c.reads) {
        if (read.epoch < block_epoch) read = {};
      }
      if (c.flight >= block_epoch) {
        report("a %s of %s, to which a cp.async that was not waited for is under way", what, place(at).c_str());
        return;
      }
      if (kind == kRead && c.write.epoch == 0) {
        report("a read of %s, which was never written", place(at).c_str());
        return;
      }
    }
    if (c.write.epoch && !ordered(c.write, mine) && !(kind == kAtomic && c.write.atomic)) {
      report_race(what, c.write.atomic ? "atomic" : "write", c.write, at);
      return;
    }
    if (kind == kRead) {
      // Two readers are remembered; one whose access is ordered before this one need not be.
      Record& slot = c.reads[0].epoch == 0 || ordered(c.reads[0], mine)   ? c.reads[0]
                     : c.reads[1].epoch == 0 || ordered(c.reads[1], mine) ? c.reads[1]
                                                                          : c.reads[random_bits() & 1];
      slot = now;
      continue;
    }
    for (Record& read : c.reads) {
      if (read.epoch && !ordered(read, mine)) {
        report_race(what, "read", read, at);
        return;
      }
      read = {};
    }
    c.write = now;
  }
}

void in_flight(const void* address, size_t bytes) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(address);
  for (uintptr_t at = start; at < start + bytes; ++at) cell(at).flight = epoch;
}

void landed(const void* address, size_t bytes) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(address);
  for (uintptr_t at = start; at < start + bytes; ++at) cell(at).flight = 0;
}

void fence() {
  knowledge(current->index).fenced = true;
}

// Everything that the block did in earlier epochs, and this thread in the current one, is released to whoever uses the same
// atomic later, if the thread has fenced it; and what others released there is acquired.
void atomic_at(const void* address) {
  std::vector<Released>& releases = released_at[address];
  acquired.insert(acquired.end(), releases.begin(), releases.end());
  if (knowledge(current->index).fenced) {
    releases = acquired;
    releases.push_back({block_epoch, epoch - 1, epoch, static_cast<uint16_t>(current->index)});
  }
  for (std::vector<Released>* list : {&acquired, &releases}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
}

}  // namespace lk::emulator::race
