// A scratch file and the space in it. Everything that goes wrong is an Error(LK_IO_ERROR) that names the tier and the page.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pager/page.h"
#include "pager/system.h"

namespace lk::pager {

class SpillFile {
 public:
  // Made with the first space that is taken. Messages call it `tier`, and end in `lost` where what it held is gone.
  SpillFile(System& system, const char* tier, const char* lost, std::string directory, bool uncached);

  // Space of so many bytes, a multiple of kAlignment: its offset. The disk has it from then on. Throws.
  int64_t take(int64_t bytes);
  void give_back(int64_t offset, int64_t bytes) noexcept;

  // Gives all of it back to the system.
  void close() noexcept;

  // All of it, or throws.
  void read(const Page& page, void* to, int64_t bytes, int64_t offset);
  void write(const Page& page, const void* from, int64_t bytes, int64_t offset);
  // What was read of a page is not what was written.
  [[noreturn]] void corrupt(const Page& page) const;

 private:
  System& system_;
  const char* const tier_;
  const char* const lost_;
  const std::string directory_;
  const bool uncached_;
  std::unique_ptr<File> file_;
  int64_t end_ = 0;
  std::multimap<int64_t, int64_t> spaces_;  // given back: bytes -> offset
};

}  // namespace lk::pager
