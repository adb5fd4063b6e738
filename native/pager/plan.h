// Which pages are resident. Every step goes through all pages in the same order, and of such a cyclic scan no policy keeps
// more in memory than the simplest one: the same pages always, the rest never (what is evicted last would be used first).
#pragma once

#include <cstdint>
#include <vector>

#include "pager/budget.h"
#include "pager/page.h"

namespace lk::pager {

struct Plan {
  std::vector<bool> resident;  // by page
  int64_t buffers = 0;         // of the ring; 0 where all pages are resident
  int64_t buffer_bytes = 0;    // of each: the largest page, or the parameters of one, whichever is more
  int64_t bytes = 0;           // of resident pages and the ring
};

// `ring_pages`: the most buffers of the ring. `can_spill`: there is a file tier.
Demand demand_of(const std::vector<Page*>& pages, int64_t ring_pages, bool can_spill);
// The plan for so many bytes, at least the least of the demand.
Plan plan_for(const std::vector<Page*>& pages, int64_t ring_pages, int64_t bytes);

}  // namespace lk::pager
