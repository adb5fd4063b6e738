#include "pager/undo_log.h"

#include <cstring>

#include "common/format4.h"
#include "pager/checksum.h"

namespace lk::pager {
namespace {

int64_t space_of(const Page& page) {
  return round_up(page.parameter_bytes(), kAlignment);
}

}  // namespace

UndoLog::UndoLog(System& system, const std::string& directory, Counters& counters)
    : file_(system, "undo log", "the parameters before the step are lost", directory, false), counters_(counters) {}

void UndoLog::reserve(Page& page) {
  if (page.undo_offset < 0) page.undo_offset = file_.take(space_of(page));
}

void UndoLog::forget(Page& page) noexcept {
  if (page.undo_offset >= 0) file_.give_back(page.undo_offset, space_of(page));
  page.undo_offset = -1;
}

void UndoLog::save(Page& page) {
  const void* parameters = at_address<const void>(page.parameter());
  page.undo_checksum = checksum(parameters, page.parameter_bytes());
  file_.write(page, parameters, page.parameter_bytes(), page.undo_offset);
  counters_.undo_bytes += page.parameter_bytes();
}

void UndoLog::restore(const Page& page, std::byte* buffer) {
  const int64_t bytes = page.parameter_bytes();
  file_.read(page, buffer, bytes, page.undo_offset);
  if (checksum(buffer, bytes) != page.undo_checksum) file_.corrupt(page);
  std::memcpy(at_address<void>(page.parameter()), buffer, static_cast<size_t>(bytes));
}

}  // namespace lk::pager
