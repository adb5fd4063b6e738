#include "pager/plan.h"

#include <algorithm>

#include "pager/system.h"

namespace lk::pager {
namespace {

// With fewer buffers nothing is read while a page is updated.
constexpr int64_t kLeastBuffers = 2;
// Of the memory beside small tensors, the ring takes one part of this many at most: resident pages save more.
constexpr int64_t kRingPart = 4;

struct Sums {
  explicit Sums(const std::vector<Page*>& pages) {
    for (const Page* page : pages) {
      all += page->bytes;
      if (page->pinned) {
        pinned += page->bytes;
        continue;
      }
      ++movable;
      buffer = std::max({buffer, page->bytes, round_up(page->parameter_bytes(), kAlignment)});
    }
  }
  int64_t all = 0, pinned = 0, movable = 0, buffer = 0;

  int64_t least_buffers(int64_t ring_pages) const { return std::min({kLeastBuffers, movable, ring_pages}); }
};

}  // namespace

Demand demand_of(const std::vector<Page*>& pages, int64_t ring_pages, bool can_spill) {
  const Sums sums(pages);
  const int64_t least = sums.pinned + sums.least_buffers(ring_pages) * sums.buffer;
  return {sums.all, can_spill ? std::min(least, sums.all) : sums.all, sums.all};
}

Plan plan_for(const std::vector<Page*>& pages, int64_t ring_pages, int64_t bytes) {
  const Sums sums(pages);
  Plan plan;
  plan.resident.assign(pages.size(), true);
  plan.bytes = sums.all;
  if (sums.all <= bytes) return plan;
  const int64_t room = bytes - sums.pinned;
  plan.buffer_bytes = sums.buffer;
  plan.buffers =
      std::max(sums.least_buffers(ring_pages), std::min({room / kRingPart / sums.buffer, sums.movable, ring_pages}));
  plan.bytes = sums.pinned + plan.buffers * plan.buffer_bytes;
  for (size_t i = 0; i < pages.size(); ++i) {
    if (pages[i]->pinned) continue;
    plan.resident[i] = plan.bytes + pages[i]->bytes <= bytes;
    if (plan.resident[i]) plan.bytes += pages[i]->bytes;
  }
  return plan;
}

}  // namespace lk::pager
