// A system for the pager whose files are in memory and whose every call can be made to fail, once.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "pager/system.h"

namespace lk::test {

enum class Fault {
  kNone,
  kShortRead,    // a read gives half, the next one nothing
  kReadError,    // EIO
  kReadGarbage,  // a byte is not what was written
  kWriteError,   // EIO
  kNoSpace,      // ENOSPC while writing
  kTruncate,     // the file that is read or written is empty from then on
  kReserve,      // ENOSPC while reserving
  kAllocate,
  kThread
};

class FaultySystem final : public pager::System {
 public:
  // The call number `after` (from 0) among those that the fault concerns fails; calls are counted from now on.
  void arm(Fault fault, int64_t after);
  // Once the fault has happened, the next call that this one concerns fails too.
  void arm_next(Fault fault);
  // Ends the wait for faults; whether the last one has happened.
  bool disarm();
  int64_t live_allocations();
  int64_t file_bytes();

  std::unique_ptr<pager::File> open_scratch(const std::string& directory, bool uncached) override;
  void* allocate(int64_t bytes) noexcept override;
  void release(void* memory) noexcept override;
  std::thread start_thread(std::function<void()> body) override;

 private:
  class MemoryFile;

  // Whether this call is the one that fails. Called with the mutex held.
  bool strikes(Fault fault);

  std::mutex mutex_;  // guards all below and the contents of the files
  Fault fault_ = Fault::kNone, next_ = Fault::kNone;
  int64_t after_ = 0;
  bool struck_ = false;
  int64_t live_ = 0, file_bytes_ = 0;
};

}  // namespace lk::test
