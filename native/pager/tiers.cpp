#include "pager/tiers.h"

#include <algorithm>

#include "common/error.h"
#include "common/format4.h"
#include "pager/checksum.h"

namespace lk::pager {
namespace {

lk_address address_of(const void* memory) {
  return static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory));
}

}  // namespace

Tiers::Tiers(Device& device, System& system, const std::string& directory, Counters& counters)
    : device_(device),
      system_(system),
      counters_(counters),
      file_(system, "file tier", "its states are lost: import them from a checkpoint, or drop the tensor", directory,
            true),
      undo_(system, directory, counters) {}

Tiers::~Tiers() {
  close();
}

void Tiers::close() noexcept {
  drop_buffers();
  file_.close();
  undo_.close();
}

void Tiers::apply(const std::vector<Page*>& pages, const Plan& plan) {
  for (size_t i = 0; i < pages.size(); ++i) {
    Page& page = *pages[i];
    if (plan.resident[i]) continue;
    if (page.offset < 0) page.offset = file_.take(2 * page.bytes);
    undo_.reserve(page);
    if (page.memory) evict(page);
  }
  make_buffers(plan.buffers, plan.buffer_bytes);
  for (size_t i = 0; i < pages.size(); ++i) {
    if (plan.resident[i] && !pages[i]->memory) promote(*pages[i]);
  }
}

void Tiers::forget(Page& page) noexcept {
  if (page.memory) {
    free_memory(page.memory, page.bytes);
    resident_bytes_ -= page.bytes;
  }
  page.memory = nullptr;
  if (page.offset >= 0) file_.give_back(page.offset, 2 * page.bytes);
  page.offset = -1;
  undo_.forget(page);
}

void Tiers::load(Page& page, std::byte* buffer) {
  if (page.fresh) {
    initialise(page, at_address<const void>(page.parameter()), buffer);
    return;
  }
  file_.read(page, buffer, page.bytes, page.slot(page.current));
  if (checksum(buffer, page.layout.bytes) != page.checksum) file_.corrupt(page);
  counters_.read_bytes += page.bytes;
}

void Tiers::store(Page& page, const std::byte* buffer) {
  page.next_checksum = checksum(buffer, page.layout.bytes);
  file_.write(page, buffer, page.bytes, page.slot(1 - page.current));
  counters_.written_bytes += page.bytes;
}

void Tiers::flip(Page& page) noexcept {
  page.current = 1 - page.current;
  page.checksum = page.next_checksum;
  page.fresh = false;
  page.in_file = true;
}

void Tiers::evict(Page& page) {
  if (!page.fresh && !page.in_file) {  // only dirty pages are written
    store(page, page.memory);
    flip(page);
  }
  free_memory(page.memory, page.bytes);
  page.memory = nullptr;
  resident_bytes_ -= page.bytes;
  ++counters_.evicted_pages;
}

void Tiers::promote(Page& page) {
  std::byte* memory = take_memory(page.bytes, page.name());
  try {
    if (page.fresh) {
      start_resident(page, memory);
    } else {
      load(page, memory);
      ++counters_.promoted_pages;
    }
  } catch (...) {
    free_memory(memory, page.bytes);
    throw;
  }
  page.memory = memory;
  resident_bytes_ += page.bytes;
}

// The states of a fresh page, on any device.
void Tiers::start_resident(const Page& page, std::byte* memory) {
  device_.zero(memory, static_cast<size_t>(page.bytes));
  const Layout::Part& master = page.layout.parts[LK_PART_MASTER];
  if (master.bytes == 0) return;
  const lk_tensor parameter{page.parameter(), 1, page.count, page.count, page.tensor->description.dtype, 0};
  const lk_tensor widened{address_of(memory + master.offset), 1, page.count, page.count, LK_F32, 0};
  device_.kernels->convert(device_, parameter, widened);
}

void Tiers::make_buffers(int64_t count, int64_t bytes) {
  if (static_cast<int64_t>(buffers_.size()) == count && buffer_bytes_ == bytes) return;
  drop_buffers();
  buffer_bytes_ = bytes;
  buffers_.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) buffers_.push_back(take_memory(bytes, "buffer " + std::to_string(i)));
}

void Tiers::drop_buffers() noexcept {
  for (std::byte* buffer : buffers_) free_memory(buffer, buffer_bytes_);
  buffers_.clear();
}

// Kernels see it: memory of the device.
std::byte* Tiers::take_memory(int64_t bytes, const std::string& what) {
  const bool host = device_.backend == LK_BACKEND_CPU;
  void* memory = host ? system_.allocate(bytes) : device_.allocate(static_cast<size_t>(bytes));
  std::lock_guard<std::mutex> lock(device_.mutex);
  lk_memory_stats& stats = device_.stats;
  if (!memory) {
    fail(LK_OUT_OF_MEMORY, "memory tier, %s: out of memory: requested %lld bytes, free %lld, peak of this device %lld",
         what.c_str(), static_cast<long long>(bytes), static_cast<long long>(device_.free_bytes()),
         static_cast<long long>(stats.allocated_peak_bytes));
  }
  stats.allocated_bytes += bytes;
  stats.allocated_peak_bytes = std::max(stats.allocated_peak_bytes, stats.allocated_bytes);
  ++stats.allocation_count;
  return static_cast<std::byte*>(memory);
}

void Tiers::free_memory(std::byte* memory, int64_t bytes) noexcept {
  if (device_.backend == LK_BACKEND_CPU) {
    system_.release(memory);
  } else {
    device_.release(memory);
  }
  std::lock_guard<std::mutex> lock(device_.mutex);
  device_.stats.allocated_bytes -= bytes;
}

}  // namespace lk::pager
