// What a pager counts. Written by its steps and by the threads of the I/O pool, read at any time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lk::pager {

struct Counters {
  using Count = std::atomic<int64_t>;
  Count state_bytes{0}, resident_bytes{0}, file_bytes{0}, buffer_bytes{0}, pages{0}, resident_pages{0};
  Count steps{0}, skipped_steps{0}, undone_steps{0};
  Count read_bytes{0}, written_bytes{0}, undo_bytes{0};
  Count prefetch_hits{0}, stalls{0}, stall_nanoseconds{0}, update_nanoseconds{0}, copy_nanoseconds{0};
  Count evicted_pages{0}, promoted_pages{0};
};

// Adds the time of its scope to a counter.
class Timer {
 public:
  explicit Timer(Counters::Count& nanoseconds) : nanoseconds_(nanoseconds), start_(Clock::now()) {}
  ~Timer() { nanoseconds_ += std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  Counters::Count& nanoseconds_;
  Clock::time_point start_;
};

}  // namespace lk::pager
