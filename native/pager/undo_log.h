// The parameters of pages before a step changes them, in a second scratch file: what makes a step undoable while its pages
// stream. It goes through the page cache: it is written once a step and read only after a failure.
#pragma once

#include <cstddef>

#include "pager/counters.h"
#include "pager/spill_file.h"

namespace lk::pager {

class UndoLog {
 public:
  UndoLog(System& system, const std::string& directory, Counters& counters);

  void reserve(Page& page);
  void forget(Page& page) noexcept;
  void close() noexcept { file_.close(); }
  void save(Page& page);
  // Puts the parameters back; `buffer` has room for them. Writes none of them where what was saved cannot be read.
  void restore(const Page& page, std::byte* buffer);

 private:
  SpillFile file_;
  Counters& counters_;
};

}  // namespace lk::pager
