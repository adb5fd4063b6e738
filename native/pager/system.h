// What the pager takes from the operating system: scratch files, memory and threads. An interface, so that tests make each of
// them fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace lk::pager {

// Of buffers, and of offsets and sizes of what is read and written past the page cache.
inline constexpr int64_t kAlignment = 4096;

inline constexpr int64_t round_up(int64_t bytes, int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// A scratch file that has no name any more: it is gone with its descriptor, whatever becomes of the process.
class File {
 public:
  virtual ~File() = default;
  // As pread and pwrite: how many bytes were moved (0: the file ends there), or -errno.
  virtual int64_t read(void* to, int64_t bytes, int64_t offset) = 0;
  virtual int64_t write(const void* from, int64_t bytes, int64_t offset) = 0;
  // Blocks of the disk for [offset, offset + bytes): a disk that is full says so here, not when it is written. 0 or errno.
  virtual int reserve(int64_t offset, int64_t bytes) = 0;
};

class System {
 public:
  virtual ~System() = default;
  // `uncached`: past the page cache where the file system can (O_DIRECT). Throws Error(LK_IO_ERROR).
  virtual std::unique_ptr<File> open_scratch(const std::string& directory, bool uncached) = 0;
  // Aligned to kAlignment, not zeroed; null where there is none.
  virtual void* allocate(int64_t bytes) noexcept = 0;
  virtual void release(void* memory) noexcept = 0;
  // Throws std::system_error.
  virtual std::thread start_thread(std::function<void()> body) = 0;
};

System& real_system();

}  // namespace lk::pager
