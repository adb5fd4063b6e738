// The pages of the file in one step: each is read ahead into a buffer of the ring, updated there, and written behind to its
// other slot. Nothing is final before commit(); undo() leaves parameters and states as they were.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "pager/counters.h"
#include "pager/io_pool.h"
#include "pager/tiers.h"

namespace lk::pager {

class FileStep {
 public:
  // Over the buffers that `tiers` has now.
  FileStep(Tiers& tiers, IoPool& pool, Counters& counters);
  ~FileStep();

  // Updates all pages in order. `cancelled` is looked at before each. Throws the first failure; the caller then calls undo().
  void run(const std::vector<Page*>& pages, const std::function<void(const Page&, std::byte*)>& update,
           const std::atomic<bool>& cancelled);
  void commit(const std::vector<Page*>& pages) noexcept;
  // Throws where parameters could not be put back.
  void undo(const std::vector<Page*>& pages);

 private:
  class Lane;

  Lane& lane_of(size_t page) { return *lanes_[page % lanes_.size()]; }

  Tiers& tiers_;
  IoPool& pool_;
  Counters& counters_;
  Completion completion_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  size_t begun_ = 0;  // pages whose parameters may have changed
};

}  // namespace lk::pager
