#include "pager/spill_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/error.h"

namespace lk::pager {

SpillFile::SpillFile(System& system, const char* tier, const char* lost, std::string directory, bool uncached)
    : system_(system), tier_(tier), lost_(lost), directory_(std::move(directory)), uncached_(uncached) {}

int64_t SpillFile::take(int64_t bytes) {
  const auto space = spaces_.find(bytes);
  if (space != spaces_.end()) {
    const int64_t offset = space->second;
    spaces_.erase(space);
    return offset;
  }
  if (!file_) file_ = system_.open_scratch(directory_, uncached_);
  if (const int error = file_->reserve(end_, bytes)) {
    fail(LK_IO_ERROR, "%s: cannot reserve %lld bytes beside %lld in %s: %s; free space or name another directory",
         tier_, static_cast<long long>(bytes), static_cast<long long>(end_), directory_.c_str(), std::strerror(error));
  }
  end_ += bytes;
  return end_ - bytes;
}

void SpillFile::give_back(int64_t offset, int64_t bytes) noexcept {
  try {
    spaces_.emplace(bytes, offset);
  } catch (const std::bad_alloc&) {
    // The space stays unused until the file is closed.
  }
}

void SpillFile::close() noexcept {
  file_.reset();
  end_ = 0;
  spaces_.clear();
}

void SpillFile::read(const Page& page, void* to, int64_t bytes, int64_t offset) {
  for (int64_t done = 0; done < bytes;) {
    const int64_t moved = file_->read(static_cast<char*>(to) + done, bytes - done, offset + done);
    if (moved < 0) {
      fail(LK_IO_ERROR, "%s, %s: cannot read %lld bytes: %s", tier_, page.name().c_str(), static_cast<long long>(bytes),
           std::strerror(static_cast<int>(-moved)));
    }
    if (moved == 0) {
      fail(LK_IO_ERROR, "%s, %s: expected %lld bytes, but the scratch file ends after %lld: it was truncated; %s",
           tier_, page.name().c_str(), static_cast<long long>(bytes), static_cast<long long>(done), lost_);
    }
    done += moved;
  }
}

void SpillFile::write(const Page& page, const void* from, int64_t bytes, int64_t offset) {
  for (int64_t done = 0; done < bytes;) {
    const int64_t moved = file_->write(static_cast<const char*>(from) + done, bytes - done, offset + done);
    if (moved <= 0) {
      fail(LK_IO_ERROR, "%s, %s: cannot write %lld bytes: %s", tier_, page.name().c_str(),
           static_cast<long long>(bytes), std::strerror(moved < 0 ? static_cast<int>(-moved) : ENOSPC));
    }
    done += moved;
  }
}

void SpillFile::corrupt(const Page& page) const {
  fail(LK_IO_ERROR,
       "%s, %s: what the scratch file holds is not what was written (the checksum differs): it was truncated or "
       "overwritten, or the disk is faulty; %s",
       tier_, page.name().c_str(), lost_);
}

}  // namespace lk::pager
