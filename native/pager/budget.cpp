#include "pager/budget.h"

#include <algorithm>

#include "common/error.h"

namespace lk::pager {

void Budget::join(const std::shared_ptr<BudgetMember>& member) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry entry;
  entry.member = member;
  entry.key = member.get();
  entries_.push_back(entry);
}

void Budget::leave(const BudgetMember* member) {
  std::lock_guard<std::mutex> lock(mutex_);
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == member; }),
                 entries_.end());
  divide();
}

void Budget::demand(const BudgetMember* member, const Demand& demand) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry& changed = entry(member);
  int64_t others = 0;
  for (const Entry& e : entries_) others += e.key == member ? 0 : e.demand.least;
  if (bytes_ != kUnlimited && demand.least > bytes_ - others) {
    fail(
        LK_OUT_OF_MEMORY,
        "memory tier: the budget of %lld bytes has %lld left, but %lld are needed for what cannot leave memory and for "
        "buffers; raise the budget, name a spill directory, or make pages smaller",
        static_cast<long long>(bytes_), static_cast<long long>(bytes_ - others), static_cast<long long>(demand.least));
  }
  changed.demand = demand;
  divide();
}

std::vector<std::shared_ptr<BudgetMember>> Budget::above_share(const BudgetMember* except) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<BudgetMember>> found;
  for (const Entry& e : entries_) {
    if (e.key == except || e.held <= e.share) continue;
    if (std::shared_ptr<BudgetMember> member = e.member.lock()) found.push_back(std::move(member));
  }
  return found;
}

int64_t Budget::claim(const BudgetMember* member) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry& own = entry(member);
  int64_t others = 0;
  for (const Entry& e : entries_) others += e.key == member ? 0 : e.held;
  const int64_t allowed = std::min(own.share, std::max<int64_t>(0, bytes_ - others));
  own.held = std::max(own.held, allowed);
  return allowed;
}

void Budget::settle(const BudgetMember* member, int64_t held) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry& own = entry(member);
  if (held < own.held) ++version_;
  own.held = held;
}

uint64_t Budget::version() {
  std::lock_guard<std::mutex> lock(mutex_);
  return version_;
}

void Budget::query(lk_budget_info& out) {
  std::lock_guard<std::mutex> lock(mutex_);
  out = {bytes_ == kUnlimited ? -1 : bytes_, 0, static_cast<int64_t>(entries_.size())};
  for (const Entry& e : entries_) out.used_bytes += e.held;
}

Budget::Entry& Budget::entry(const BudgetMember* member) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == member; });
  if (found == entries_.end()) fail(LK_INTERNAL, "memory tier: a pager that does not share the budget asked for it");
  return *found;
}

// Everyone gets the least it needs; the rest is divided by weight, and what would exceed the most that one can use is divided
// again among the others. Called with the mutex held.
void Budget::divide() {
  ++version_;
  if (bytes_ == kUnlimited) {
    for (Entry& e : entries_) e.share = e.demand.most;
    return;
  }
  std::vector<Entry*> open;
  int64_t rest = bytes_;
  for (Entry& e : entries_) {
    e.share = e.demand.least;
    rest -= e.share;
    if (e.demand.most > e.share) open.push_back(&e);
  }
  for (bool capped = true; capped && !open.empty();) {
    double weights = 0;
    for (const Entry* e : open) weights += static_cast<double>(e->demand.states);
    const double each = static_cast<double>(rest) / weights;
    capped = false;
    for (Entry*& e : open) {
      const int64_t wanted = e->demand.most - e->demand.least;
      if (static_cast<double>(wanted) > each * static_cast<double>(e->demand.states)) continue;
      e->share = e->demand.most;
      rest -= wanted;
      e = nullptr;
      capped = true;
    }
    open.erase(std::remove(open.begin(), open.end(), nullptr), open.end());
    if (capped) continue;
    for (Entry* e : open) e->share += static_cast<int64_t>(each * static_cast<double>(e->demand.states));
  }
}

}  // namespace lk::pager
