#include "pager/pager.h"

#include <utility>

#include "common/error.h"

namespace lk::pager {

Pager::Pager(Device& device, std::shared_ptr<Budget> budget, const Options& options, System& system, IoPool& pool)
    : device_(device),
      budget_(std::move(budget)),
      options_(options),
      pool_(pool),
      tiers_(device, system, options.spill_directory, counters_) {}

std::shared_ptr<Pager> Pager::open(Device& device, std::shared_ptr<Budget> budget, const Options& options,
                                   System& system, IoPool& pool) {
  std::shared_ptr<Pager> pager(new Pager(device, std::move(budget), options, system, pool));
  pager->budget_->join(pager);
  return pager;
}

Pager::~Pager() {
  close();
}

void Pager::close() {
  std::lock_guard<std::mutex> structure(structure_mutex_);
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  closed_ = true;
  while (!tensors_.empty()) erase(tensors_.begin());
  tiers_.close();
  budget_->leave(this);
}

int64_t Pager::add(const lk_pager_tensor* tensors, int64_t count) {
  std::lock_guard<std::mutex> structure(structure_mutex_);
  std::vector<Page*> pages;
  Demand before;
  Tensors added;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    require_usable();
    pages = all_pages();
    before = demand(pages);
    for (int64_t i = 0; i < count; ++i) {
      auto tensor = std::make_unique<Tensor>(next_tensor_ + i, tensors[i], options_.page_bytes);
      for (Page& page : tensor->pages) pages.push_back(&page);
      added.emplace(tensor->id, std::move(tensor));
    }
  }
  budget_->demand(this, demand(pages));
  try {
    make_room();
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t first = next_tensor_;
    tensors_.merge(added);
    arranged_ = false;
    fitted_version_ = 0;
    try {
      fit(true);
      arrange();
    } catch (...) {
      while (!tensors_.empty() && tensors_.rbegin()->first >= first) erase(std::prev(tensors_.end()));
      budget_->settle(this, tiers_.held());
      throw;
    }
    next_tensor_ += count;
    return first;
  } catch (...) {
    budget_->demand(this, before);
    throw;
  }
}

// Other pagers move to their files what the demand of this one takes from their shares. Without mutex_: they may be waiting
// for it in turn.
void Pager::make_room() {
  for (auto others = budget_->above_share(this); !others.empty(); others = budget_->above_share(this)) {
    for (const auto& other : others) other->give_up_excess();
  }
}

void Pager::give_up_excess() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!closed_) fit(false);
}

void Pager::drop(int64_t tensor) {
  std::lock_guard<std::mutex> structure(structure_mutex_);
  std::lock_guard<std::mutex> lock(mutex_);
  require_usable();
  find(tensor);
  erase(tensors_.find(tensor));
  budget_->settle(this, tiers_.held());
  budget_->demand(this, demand(all_pages()));
}

void Pager::erase(Tensors::iterator tensor) noexcept {
  arranged_ = false;
  for (Page& page : tensor->second->pages) tiers_.forget(page);
  tensors_.erase(tensor);
}

void Pager::require_usable() const {
  if (cancelled_) fail(LK_CANCELLED, "memory tier: the pager was cancelled and takes no more steps");
  if (!lost_.empty()) fail(LK_IO_ERROR, "%s", lost_.c_str());
}

Tensor& Pager::find(int64_t tensor) {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) {
    fail(LK_INVALID_ARGUMENT, "tensor must be one that is registered, but is %lld", static_cast<long long>(tensor));
  }
  return *found->second;
}

std::vector<Page*> Pager::all_pages() const {
  std::vector<Page*> pages;
  for (const auto& entry : tensors_) {
    for (Page& page : entry.second->pages) pages.push_back(&page);
  }
  return pages;
}

Demand Pager::demand(const std::vector<Page*>& pages) const {
  const bool can_spill = !options_.spill_directory.empty() && device_.backend == LK_BACKEND_CPU;
  return demand_of(pages, options_.ring_pages, can_spill);
}

// Moves pages to where the share of the budget puts them now.
void Pager::fit(bool grow) {
  const uint64_t version = budget_->version();
  if (version == fitted_version_) return;
  const std::vector<Page*> pages = all_pages();
  Plan plan = plan_for(pages, options_.ring_pages, budget_->claim(this));
  for (size_t i = 0; !grow && i < pages.size(); ++i) plan.resident[i] = plan.resident[i] && pages[i]->memory;
  arranged_ = false;
  try {
    tiers_.apply(pages, plan);
  } catch (...) {
    fitted_version_ = 0;
    budget_->settle(this, tiers_.held());
    throw;
  }
  budget_->settle(this, tiers_.held());
  fitted_version_ = grow ? version : 0;
}

// The lists that a step goes through, so that it need not allocate.
void Pager::arrange() {
  if (arranged_) return;
  file_pages_.clear();
  resident_pages_.clear();
  resident_.clear();
  gradients_.clear();
  numbers_.clear();
  int64_t file_bytes = 0, resident_bytes = 0;
  for (const auto& entry : tensors_) {
    const lk_pager_tensor& d = entry.second->description;
    lk_adamw_param gradient{};
    gradient.gradient = d.gradient;
    gradient.gradient_dtype = d.gradient_dtype;
    gradient.count = d.count;
    gradients_.push_back(gradient);
    numbers_.push_back(entry.first);
    for (Page& page : entry.second->pages) {
      if (page.memory) {
        resident_pages_.push_back(&page);
        resident_.push_back(describe(page, static_cast<lk_address>(reinterpret_cast<uintptr_t>(page.memory))));
        resident_bytes += page.bytes;
      } else {
        file_pages_.push_back(&page);
        file_bytes += page.bytes;
      }
    }
  }
  counters_.state_bytes = resident_bytes + file_bytes;
  counters_.resident_bytes = resident_bytes;
  counters_.file_bytes = file_bytes;
  counters_.buffer_bytes = tiers_.held() - resident_bytes;
  counters_.pages = static_cast<int64_t>(resident_pages_.size() + file_pages_.size());
  counters_.resident_pages = static_cast<int64_t>(resident_pages_.size());
  arranged_ = true;
}

lk_pager_stats Pager::stats() const {
  const Counters& c = counters_;
  lk_pager_stats s{};
  s.state_bytes = c.state_bytes;
  s.resident_bytes = c.resident_bytes;
  s.file_bytes = c.file_bytes;
  s.buffer_bytes = c.buffer_bytes;
  s.pages = c.pages;
  s.resident_pages = c.resident_pages;
  s.steps = c.steps;
  s.skipped_steps = c.skipped_steps;
  s.undone_steps = c.undone_steps;
  s.read_bytes = c.read_bytes;
  s.written_bytes = c.written_bytes;
  s.undo_bytes = c.undo_bytes;
  s.prefetch_hits = c.prefetch_hits;
  s.stalls = c.stalls;
  s.stall_nanoseconds = c.stall_nanoseconds;
  s.update_nanoseconds = c.update_nanoseconds;
  s.copy_nanoseconds = c.copy_nanoseconds;
  s.evicted_pages = c.evicted_pages;
  s.promoted_pages = c.promoted_pages;
  return s;
}

}  // namespace lk::pager
