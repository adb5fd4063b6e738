// Where the states of pages are: in memory, or in the file. Not thread-safe, but for load, save and store of different pages.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/device.h"
#include "pager/counters.h"
#include "pager/plan.h"
#include "pager/spill_file.h"
#include "pager/undo_log.h"

namespace lk::pager {

class Tiers {
 public:
  Tiers(Device& device, System& system, const std::string& directory, Counters& counters);
  ~Tiers();
  Tiers(const Tiers&) = delete;
  Tiers& operator=(const Tiers&) = delete;

  // Moves pages to where the plan wants them and makes its buffers. Where it throws, every page is whole in one tier.
  void apply(const std::vector<Page*>& pages, const Plan& plan);
  // Frees what a page has in every tier.
  void forget(Page& page) noexcept;
  // Frees the buffers and the files; all pages are forgotten.
  void close() noexcept;
  // Bytes of resident pages and buffers.
  int64_t held() const { return resident_bytes_ + buffer_bytes_ * static_cast<int64_t>(buffers_.size()); }

  const std::vector<std::byte*>& buffers() const { return buffers_; }

  // Of pages in the file. What is saved, loaded and stored may be in use by nobody else meanwhile.
  void save_parameters(Page& page) { undo_.save(page); }
  void restore_parameters(const Page& page, std::byte* buffer) { undo_.restore(page, buffer); }
  void load(Page& page, std::byte* buffer);
  // Into the slot that is not current; flip() makes it so.
  void store(Page& page, const std::byte* buffer);
  static void flip(Page& page) noexcept;

 private:
  void evict(Page& page);
  void promote(Page& page);
  void make_buffers(int64_t count, int64_t bytes);
  void drop_buffers() noexcept;
  std::byte* take_memory(int64_t bytes, const std::string& what);
  void free_memory(std::byte* memory, int64_t bytes) noexcept;
  void start_resident(const Page& page, std::byte* memory);

  Device& device_;
  System& system_;
  Counters& counters_;
  SpillFile file_;
  UndoLog undo_;
  std::vector<std::byte*> buffers_;
  int64_t buffer_bytes_ = 0;
  int64_t resident_bytes_ = 0;
};

}  // namespace lk::pager
