// Pager::step: the pages of the file first, while every failure can still be undone; the resident ones last, in one call of
// the kernels that either begins or does not.
#include "common/error.h"
#include "common/gradient_norm.h"
#include "pager/file_step.h"
#include "pager/pager.h"

namespace lk::pager {
namespace {

lk_address address_of(const std::byte* memory) {
  return static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory));
}

// An exception as what the pager throws.
Error as_error(const std::exception_ptr& failure, const char* tier) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {LK_OUT_OF_MEMORY, std::string(tier) + ": out of memory for the library's own bookkeeping"};
  } catch (const std::exception& error) {
    return {LK_INTERNAL, std::string(tier) + ": defect of the library: " + error.what()};
  }
}

}  // namespace

void Pager::step(const lk_adamw_config& config, lk_adamw_report* report) {
  std::lock_guard<std::mutex> lock(mutex_);
  require_usable();
  fit(true);
  arrange();
  lk_adamw_config scaled = config;
  if (report) {
    *report = gradient_report(device_, config, gradients_.data(), static_cast<int64_t>(gradients_.size()));
    if (report->first_non_finite >= 0)
      report->first_non_finite = numbers_[static_cast<size_t>(report->first_non_finite)];
    if (report->skipped) {
      ++counters_.skipped_steps;
      return;
    }
    scaled.gradient_scale = report->gradient_scale;
  }
  update_pages(scaled);
  ++counters_.steps;
}

void Pager::update_pages(const lk_adamw_config& config) {
  const KernelTable& kernels = *device_.kernels;
  FileStep file(tiers_, pool_, counters_);
  const char* tier = "file tier";
  try {
    file.run(
        file_pages_,
        [&](const Page& page, std::byte* states) {
          const Timer timer(counters_.update_nanoseconds);
          const lk_adamw_param slice = describe(page, address_of(states));
          try {
            kernels.adamw_step(device_, config, &slice, 1);
          } catch (const Error& error) {
            fail(error.status, "file tier, %s: %s", page.name().c_str(), error.message.c_str());
          }
        },
        cancelled_);
    tier = "memory tier";
    if (!resident_.empty()) {
      const Timer timer(counters_.update_nanoseconds);
      try {
        kernels.adamw_step(device_, config, resident_.data(), static_cast<int64_t>(resident_.size()));
      } catch (const Error& error) {
        fail(error.status, "memory tier, %s and the %zu after it: %s", resident_pages_.front()->name().c_str(),
             resident_pages_.size() - 1, error.message.c_str());
      }
    }
  } catch (...) {
    const Error error = as_error(std::current_exception(), tier);
    undo_step(file, error);
    fail(error.status, "%s; the step was undone: parameters and states are as before it", error.message.c_str());
  }
  file.commit(file_pages_);
  for (Page* page : resident_pages_) {
    page->fresh = false;
    page->in_file = false;
  }
}

void Pager::undo_step(FileStep& file, const Error& cause) {
  ++counters_.undone_steps;
  try {
    file.undo(file_pages_);
  } catch (...) {
    const Error second = as_error(std::current_exception(), "undo log");
    lost_ = cause.message + "; then the step could not be undone: " + second.message +
            "; close the optimiser and restore parameters and states from a checkpoint";
    fail(LK_IO_ERROR, "%s", lost_.c_str());
  }
}

}  // namespace lk::pager
