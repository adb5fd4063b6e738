// The pager behind lk_pager: tensors, their pages, and steps over them. lora_kernels_pager.h says what it promises.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/device.h"
#include "common/error.h"
#include "pager/budget.h"
#include "pager/counters.h"
#include "pager/io_pool.h"
#include "pager/page.h"
#include "pager/tiers.h"

namespace lk::pager {

class FileStep;

struct Options {
  std::string spill_directory;  // "" = no file tier
  int64_t page_bytes = int64_t{2} << 20;
  int64_t ring_pages = 8;
};

class Pager final : public BudgetMember {
 public:
  static std::shared_ptr<Pager> open(Device& device, std::shared_ptr<Budget> budget, const Options& options,
                                     System& system = real_system(), IoPool& pool = IoPool::shared());
  ~Pager() override;

  // Frees the states and gives its share to others.
  void close();
  void cancel() { cancelled_ = true; }

  // The arguments of lora_kernels_pager.h, validated.
  int64_t add(const lk_pager_tensor* tensors, int64_t count);
  void drop(int64_t tensor);
  void step(const lk_adamw_config& config, lk_adamw_report* report);
  void read(int64_t tensor, int32_t part, int64_t begin, int64_t bytes, void* destination);
  void import(const int64_t* tensors, const lk_adamw_param* states, int64_t count);
  lk_pager_stats stats() const;

  void give_up_excess() override;

 private:
  Pager(Device& device, std::shared_ptr<Budget> budget, const Options& options, System& system, IoPool& pool);

  using Tensors = std::map<int64_t, std::unique_ptr<Tensor>>;

  // All with mutex_ held.
  void require_usable() const;
  // `grow`: pages may come into memory too. Their parameters are read where they are fresh, so a call that comes from
  // another pager must not.
  void fit(bool grow);
  void arrange();
  Tensor& find(int64_t tensor);
  void update_pages(const lk_adamw_config& config);
  void undo_step(FileStep& file, const Error& cause);
  void erase(Tensors::iterator tensor) noexcept;

  std::vector<Page*> all_pages() const;
  Demand demand(const std::vector<Page*>& pages) const;
  void make_room();

  Device& device_;
  const std::shared_ptr<Budget> budget_;
  const Options options_;
  IoPool& pool_;
  Counters counters_;
  std::atomic<bool> cancelled_{false};

  // Taken by add, drop and close, before mutex_; make_room() waits for other pagers with it alone.
  std::mutex structure_mutex_;
  std::mutex mutex_;  // guards all below
  Tensors tensors_;
  Tiers tiers_;
  int64_t next_tensor_ = 0;
  uint64_t fitted_version_ = 0;  // of the budget
  bool arranged_ = false;        // the lists below are those of the pages as they are
  std::vector<Page*> file_pages_;
  std::vector<Page*> resident_pages_;
  std::vector<lk_adamw_param> resident_;   // for kernels
  std::vector<lk_adamw_param> gradients_;  // of whole tensors
  std::vector<int64_t> numbers_;           // of the tensors of gradients_
  bool closed_ = false;
  std::string lost_;  // why no step is possible any more
};

}  // namespace lk::pager
