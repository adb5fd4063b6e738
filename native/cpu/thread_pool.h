// The one global pool of the CPU backend. Idle threads sleep (they never spin: a busy machine would pay for it), any number
// of calling threads may share the pool, and the caller works too. Which thread runs which index is not determined, so an
// index must own what it writes, and sums must not cross indices: that is what makes results independent of the number of
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace lk::cpu {

// Scratch memory of each running thread: 64-byte aligned, not zeroed, the same size for every thread, taken once.
inline constexpr size_t kScratchBytes = size_t{512} << 10;

using TaskFunction = void (*)(void* context, int64_t index, std::byte* scratch);

// Runs task(context, index, scratch) once for every index in [0, count) and returns when all are done. An exception thrown
// by a task is rethrown here (one of them, if several); the remaining indices are skipped.
void run_tasks(int64_t count, TaskFunction task, void* context);

// The same for a callable f(int64_t index, std::byte* scratch).
template <typename F>
void parallel_for(int64_t count, F&& f) {
  using Callable = std::remove_reference_t<F>;
  run_tasks(
      count,
      [](void* context, int64_t index, std::byte* scratch) { (*static_cast<Callable*>(context))(index, scratch); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

int num_threads();
void set_num_threads(int threads);  // 0: hardware threads, or LORA_KERNELS_THREADS

}  // namespace lk::cpu
