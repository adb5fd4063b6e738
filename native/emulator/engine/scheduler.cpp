#include "emulator/engine/scheduler.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <string>

#include "emulator/control.h"
#include "emulator/engine/report.h"
#include "emulator/engine/shared.h"
#include "emulator/launch.h"
#include "emulator/race/race.h"
#include "emulator/race/traffic.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace lk::emulator {

Thread* current = nullptr;
size_t shared_size = 0;

void set_current(Thread* thread) {
  current = thread;
  if (!thread) return;
  threadIdx = thread->position;
  blockIdx = thread->block->index;
}

namespace {

std::mutex launch_mutex;
Settings current_settings;
Statistics counted;

// Of the running launch.
void (*kernel)(const void*) = nullptr;
const void* kernel_context = nullptr;
uint64_t random_state = 1;
uint64_t seed = 0;
bool abandoned = false;

// Of the running block.
Fiber host;                      // where run_grid was called
Fiber* running = nullptr;        // the fiber that has the processor
std::vector<Thread*> unstarted;  // the last one starts next
std::deque<Thread*> ready;
std::vector<Fiber*> between;  // fibers that ended a thread and wait for another

std::vector<Background>& backgrounds() {
  static std::vector<Background> all;
  return all;
}

// Lets one event happen; false: there is none.
bool background_step() {
  for (const Background& events : backgrounds()) {
    if (!events.pending()) continue;
    events.step();
    return true;
  }
  return false;
}

void run_threads();

// A thread that can run, or null. The caller makes sure that it gets the processor.
Thread* next_thread() {
  if (seed != 0 && (random_bits() & 15) == 0) background_step();
  for (;;) {
    const bool start = !unstarted.empty() && (ready.empty() || seed == 0 || (random_bits() & 3) == 0);
    if (start) {
      Thread* thread = unstarted.back();
      unstarted.pop_back();
      return thread;
    }
    if (!ready.empty()) {
      Thread* thread;
      if (seed == 0) {
        thread = ready.front();
        ready.pop_front();
      } else {
        if ((seed & 1) || (random_bits() & 15) == 0) std::swap(ready[random_bits() % ready.size()], ready.back());
        thread = ready.back();
        ready.pop_back();
      }
      return thread;
    }
    if (!background_step()) return nullptr;
  }
}

// Gives the processor to whoever comes next: a waiting thread, one that has not started, or the host.
void leave(bool fiber_is_free) {
  Fiber* from = running;
  Thread* next = next_thread();
  Fiber* to = &host;
  if (next) {
    if (next == current && !fiber_is_free) return;
    set_current(next);
    if (next->fiber) {
      to = next->fiber;
    } else if (!between.empty()) {
      to = next->fiber = between.back();
      between.pop_back();
    } else {
      to = next->fiber = take_fiber(run_threads);
    }
  } else {
    set_current(nullptr);
  }
  ++counted.switches;
  if (fiber_is_free) between.push_back(from);
  running = to;
  switch_fiber(from, to);
}

// The life of a fiber: runs current, then threads that have not started, and gives way to those that wait.
void run_threads() {
  fiber_started();
  for (;;) {
    kernel(kernel_context);
    Thread* thread = current;
    for (const Background& events : backgrounds()) events.thread_ended(*thread);
    thread->ended = true;
    thread->fiber = nullptr;
    thread->warp->alive &= ~(1u << thread->lane);
    --thread->block->alive;
    // Most threads never wait: the next one runs here, without a switch.
    if (ready.empty() && !unstarted.empty()) {
      set_current(unstarted.back());
      unstarted.pop_back();
      current->fiber = running;
      continue;
    }
    leave(true);
  }
}

void start_order(Block& block) {
  unstarted.clear();
  const int warps = static_cast<int>(block.warps.size());
  std::vector<int> order(warps);
  std::iota(order.begin(), order.end(), 0);
  if (seed != 0) {
    for (int i = warps - 1; i > 0; --i) std::swap(order[i], order[random_bits() % (i + 1)]);
  }
  for (int w = warps - 1; w >= 0; --w) {
    for (int lane = kWarpSize - 1; lane >= 0; --lane) {
      if (Thread* thread = block.warps[order[w]].threads[lane]) unstarted.push_back(thread);
    }
  }
}

void prepare(Block& block, const LaunchShape& shape) {
  const int threads = static_cast<int>(shape.block.x * shape.block.y * shape.block.z);
  block.threads.assign(threads, Thread{});
  block.warps.assign((threads + kWarpSize - 1) / kWarpSize, Warp{});
  for (int i = 0; i < threads; ++i) {
    Thread& thread = block.threads[i];
    const unsigned u = static_cast<unsigned>(i);
    thread.position = dim3(u % shape.block.x, u / shape.block.x % shape.block.y, u / (shape.block.x * shape.block.y));
    thread.block = &block;
    thread.warp = &block.warps[i / kWarpSize];
    thread.index = i;
    thread.lane = i % kWarpSize;
    thread.warp->threads[thread.lane] = &thread;
  }
}

void rewind(Block& block) {
  for (Warp& warp : block.warps) {
    warp.arrived = warp.alive = 0;
  }
  for (Thread& thread : block.threads) {
    thread.ended = false;
    thread.fiber = nullptr;
    thread.warp->alive |= 1u << thread.lane;
  }
  for (Barrier& barrier : block.barriers) {
    barrier.arrived = 0;
    barrier.waiting.clear();
  }
  block.alive = static_cast<int>(block.threads.size());
}

// Threads wait and nothing can wake them.
void report_deadlock(const Block& block) {
  std::map<std::string, int> waiting;
  for (const Thread& thread : block.threads) {
    if (!thread.ended) ++waiting["warp " + std::to_string(thread.index / kWarpSize) + " at " + thread.waits_for];
  }
  std::string text;
  for (const auto& entry : waiting) text += ", " + std::to_string(entry.second) + " of " + entry.first;
  report("deadlock in block (%u,%u,%u): %d of %zu threads have not ended%s", block.index.x, block.index.y,
         block.index.z, block.alive, block.threads.size(), text.c_str());
}

void forget_threads(Block& block) {
  for (Thread& thread : block.threads) {
    if (thread.fiber) return_fiber(thread.fiber);
    thread.fiber = nullptr;
  }
  for (Fiber* fiber : between) return_fiber(fiber);
  between.clear();
  ready.clear();
  unstarted.clear();
  set_current(nullptr);
  for (const Background& events : backgrounds()) events.forget();
}

bool run_block(Block& block) {
  rewind(block);
  begin_shared(block);
  if (race::on) race::begin_block();
  start_order(block);
  running = &host;
  Thread* first = next_thread();
  set_current(first);
  first->fiber = between.empty() ? take_fiber(run_threads) : between.back();
  if (!between.empty()) between.pop_back();
  running = first->fiber;
  switch_fiber(&host, first->fiber);
  set_current(nullptr);
  if (!abandoned && block.alive > 0) {
    report_deadlock(block);
    abandoned = true;
  }
  traffic::end_block();
  if (!end_shared(block)) abandoned = true;
  if (abandoned) forget_threads(block);
  return !abandoned;
}

// The blocks of a grid have no order: with a seed they run as i -> (first + i * stride) mod count.
struct BlockOrder {
  explicit BlockOrder(uint64_t blocks) : count(blocks) {
    if (seed == 0) return;
    first = random_bits() % count;
    stride = 1 + random_bits() % count;
    while (std::gcd(stride, count) != 1) ++stride;
  }
  uint64_t at(uint64_t i) const {
    return static_cast<uint64_t>((first + static_cast<unsigned __int128>(i) * stride) % count);
  }
  uint64_t count, first = 0, stride = 1;
};

}  // namespace

void wait(const char* reason) {
  current->waits_for = reason;
  leave(false);
}

void make_ready(Thread* thread) {
  ready.push_back(thread);
}

void yield(const char* reason) {
  ready.push_front(current);  // behind all others, also where the last one is taken first
  if (seed == 0) {
    ready.pop_front();
    ready.push_back(current);
  }
  wait(reason);
}

void may_yield() {
  if (seed != 0 && (random_bits() & 3) == 0) yield();
}

void abandon_launch() {
  abandoned = true;
  running = &host;
  Fiber abandoned_fiber;
  switch_fiber(&abandoned_fiber, &host, true);
  std::abort();  // nothing returns here
}

uint64_t random_bits() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state >> 8;
}

bool random_schedule() {
  return seed != 0;
}

int add_background(const Background& events) {
  backgrounds().push_back(events);
  return 0;
}

Settings& settings() {
  return current_settings;
}

Statistics& counters() {
  return counted;
}

Statistics statistics() {
  return counted;
}

void reset_statistics() {
  counted = {};
}

bool run_grid(const LaunchShape& shape, void (*body)(const void*), const void* context) {
  std::lock_guard<std::mutex> lock(launch_mutex);
  begin_reports();
  kernel = body;
  kernel_context = context;
  blockDim = shape.block;
  gridDim = shape.grid;
  shared_size = shape.shared_bytes;
  abandoned = false;
  seed = current_settings.seed;
  random_state = (seed + 1) * 0x9E3779B97F4A7C15ull + counted.launches;

  static Block block;  // its arrays are kept from launch to launch
  prepare(block, shape);
  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  ++counted.launches;
  if (race::on) race::begin_launch();
  const uint64_t last = current_settings.last_blocks, skipped = last > 0 && last < blocks ? blocks - last : 0;
  const BlockOrder order(blocks - skipped);
  for (uint64_t i = 0; i < blocks - skipped; ++i) {
    const uint64_t b = skipped + order.at(i);
    block.index = dim3(static_cast<unsigned>(b % shape.grid.x), static_cast<unsigned>(b / shape.grid.x % shape.grid.y),
                       static_cast<unsigned>(b / shape.grid.x / shape.grid.y));
    ++counted.blocks;
    counted.threads += block.threads.size();
    if (!run_block(block)) return false;
  }
  return true;
}

}  // namespace lk::emulator
