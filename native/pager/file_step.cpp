#include "pager/file_step.h"

#include <exception>

#include "common/error.h"

namespace lk::pager {

// A buffer, and the request that fills or empties it.
class FileStep::Lane final : public Request {
 public:
  Lane(Completion& its_completion, Tiers& tiers, Counters& counters, std::byte* its_buffer)
      : Request(its_completion), buffer(its_buffer), tiers_(tiers), counters_(counters) {}

  void run() noexcept override {
    const Timer timer(counters_.copy_nanoseconds);
    try {
      if (storing_) {
        tiers_.store(*page_, buffer);
      } else {
        tiers_.save_parameters(*page_);
        tiers_.load(*page_, buffer);
      }
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  void start(IoPool& pool, Page& page, bool storing) {
    page_ = &page;
    storing_ = storing;
    pool.submit(*this);
  }

  // Waits, and throws what went wrong.
  void finish() {
    if (!done()) {
      const Timer timer(counters_.stall_nanoseconds);
      wait();
    }
    if (failure_) std::rethrow_exception(failure_);
  }

  std::byte* const buffer;

 private:
  Tiers& tiers_;
  Counters& counters_;
  Page* page_ = nullptr;
  bool storing_ = false;
  std::exception_ptr failure_;
};

FileStep::FileStep(Tiers& tiers, IoPool& pool, Counters& counters) : tiers_(tiers), pool_(pool), counters_(counters) {
  for (std::byte* buffer : tiers.buffers()) {
    lanes_.push_back(std::make_unique<Lane>(completion_, tiers, counters, buffer));
  }
}

FileStep::~FileStep() {
  for (const auto& lane : lanes_) lane->wait();
}

void FileStep::run(const std::vector<Page*>& pages, const std::function<void(const Page&, std::byte*)>& update,
                   const std::atomic<bool>& cancelled) {
  size_t next = 0;  // page to read
  for (size_t i = 0; i < pages.size(); ++i) {
    // As far ahead as there are buffers whose pages are written; the next page in any case.
    for (; next < pages.size() && next < i + lanes_.size() && (next == i || lane_of(next).done()); ++next) {
      lane_of(next).finish();
      lane_of(next).start(pool_, *pages[next], false);
    }
    Lane& lane = lane_of(i);
    ++(lane.done() ? counters_.prefetch_hits : counters_.stalls);
    lane.finish();
    if (cancelled) fail(LK_CANCELLED, "file tier, %s: the step was cancelled", pages[i]->name().c_str());
    begun_ = i + 1;
    update(*pages[i], lane.buffer);
    lane.start(pool_, *pages[i], true);
  }
  for (const auto& lane : lanes_) lane->finish();
  if (cancelled && !pages.empty()) {
    fail(LK_CANCELLED, "file tier, %s: the step was cancelled", pages.back()->name().c_str());
  }
}

void FileStep::commit(const std::vector<Page*>& pages) noexcept {
  for (Page* page : pages) Tiers::flip(*page);
}

void FileStep::undo(const std::vector<Page*>& pages) {
  for (const auto& lane : lanes_) lane->wait();
  std::exception_ptr failure;
  for (size_t i = 0; i < begun_; ++i) {
    try {
      tiers_.restore_parameters(*pages[i], lanes_[0]->buffer);
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lk::pager
