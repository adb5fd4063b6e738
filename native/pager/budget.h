// Memory that several pagers share, fairly. lora_kernels_pager.h says what fair is.
//
// Locks: the budget's mutex is taken last and held shortly. A pager asks others to shrink without holding a lock that one of
// them could wait for, so that any number of them may register, step and close at once.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "lora_kernels_pager.h"

namespace lk::pager {

inline constexpr int64_t kUnlimited = INT64_MAX;

class BudgetMember {
 public:
  virtual ~BudgetMember() = default;
  // Brings what it holds down to its share; waits for its running step. Throws Error where it cannot.
  virtual void give_up_excess() = 0;
};

// What a member could hold.
struct Demand {
  int64_t states = 0;  // bytes of its states: the weight of its share
  int64_t least = 0;   // what it cannot do without
  int64_t most = 0;    // what it can use
};

class Budget {
 public:
  explicit Budget(int64_t bytes) : bytes_(bytes) {}

  void join(const std::shared_ptr<BudgetMember>& member);
  void leave(const BudgetMember* member);
  // Changes the demand of a member. Throws Error(LK_OUT_OF_MEMORY) and changes nothing where the least of all do not fit.
  void demand(const BudgetMember* member, const Demand& demand);
  // The other members that hold more than their shares.
  std::vector<std::shared_ptr<BudgetMember>> above_share(const BudgetMember* except);
  // What the member may hold now: its share, as far as others have given it up. It counts as held from now on.
  int64_t claim(const BudgetMember* member);
  // What the member does hold, at most what it claimed.
  void settle(const BudgetMember* member, int64_t held);
  // Changes whenever claim() could return something else.
  uint64_t version();
  void query(lk_budget_info& out);

 private:
  struct Entry {
    std::weak_ptr<BudgetMember> member;
    const BudgetMember* key;
    Demand demand;
    int64_t held = 0, share = 0;
  };

  Entry& entry(const BudgetMember* member);
  void divide();

  const int64_t bytes_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
  uint64_t version_ = 1;
};

}  // namespace lk::pager
