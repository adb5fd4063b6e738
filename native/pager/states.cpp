// Pager::read and Pager::import: states as plain tensors, wherever their pages are.
#include <algorithm>
#include <cstring>

#include "common/error.h"
#include "common/format4.h"
#include "pager/pager.h"

namespace lk::pager {
namespace {

lk_address part_address(const lk_adamw_param& states, int part) {
  const lk_address addresses[kParts] = {states.exp_avg, states.exp_avg_sq, states.absmax1, states.absmax2,
                                        states.master};
  return addresses[part];
}

// Calls f(offset in the page, bytes, address in `states`) for every part of a page.
template <typename F>
void for_each_part(const Page& page, const lk_adamw_param& states, F&& f) {
  for (int part = 0; part < kParts; ++part) {
    const Layout::Part& p = page.layout.parts[part];
    if (p.bytes == 0) continue;
    f(p.offset, static_cast<size_t>(p.bytes),
      at_address<const std::byte>(part_address(states, part) + static_cast<lk_address>(page.part_begin(part))));
  }
}

}  // namespace

void Pager::read(int64_t tensor, int32_t part, int64_t begin, int64_t bytes, void* destination) {
  std::lock_guard<std::mutex> lock(mutex_);
  require_usable();
  const Tensor& t = find(tensor);
  const lk_pager_tensor& d = t.description;
  const int64_t size = layout_of(d.state_format, d.master_weights != 0, d.count).parts[part].bytes;
  if (begin < 0 || bytes < 0 || bytes > size - begin) {
    fail(LK_INVALID_ARGUMENT, "bytes must be within the %lld of this part of tensor %lld, but are %lld from %lld on",
         static_cast<long long>(size), static_cast<long long>(tensor), static_cast<long long>(bytes),
         static_cast<long long>(begin));
  }
  fit(true);
  for (Page& page : find(tensor).pages) {
    const Layout::Part& p = page.layout.parts[part];
    const int64_t page_begin = page.part_begin(part);
    const int64_t from = std::max(begin, page_begin), to = std::min(begin + bytes, page_begin + p.bytes);
    if (from >= to) continue;
    const std::byte* states = page.memory;
    if (!states) {
      tiers_.load(page, tiers_.buffers().front());
      states = tiers_.buffers().front();
    }
    std::byte* target = static_cast<std::byte*>(destination) + (from - begin);
    const std::byte* source = states + p.offset + (from - page_begin);
    if (page.memory) {
      device_.copy_to_host(target, source, static_cast<size_t>(to - from));
    } else {
      std::memcpy(target, source, static_cast<size_t>(to - from));
    }
  }
}

void Pager::import(const int64_t* tensors, const lk_adamw_param* states, int64_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  require_usable();
  std::vector<Tensor*> targets;
  for (int64_t i = 0; i < count; ++i) {
    targets.push_back(&find(tensors[i]));
    if (std::find(targets.begin(), targets.end() - 1, targets.back()) != targets.end() - 1) {
      fail(LK_INVALID_ARGUMENT, "tensors must differ, but %lld is there twice", static_cast<long long>(tensors[i]));
    }
    const lk_pager_tensor& d = targets.back()->description;
    const Layout whole = layout_of(d.state_format, d.master_weights != 0, d.count);
    for (int part = 0; part < kParts; ++part) {
      if (whole.parts[part].bytes == 0 || part_address(states[i], part) != 0) continue;
      fail(LK_INVALID_ARGUMENT, "states[%lld] must name part %d of tensor %lld, but it is null",
           static_cast<long long>(i), part, static_cast<long long>(tensors[i]));
    }
  }
  fit(true);
  std::vector<Page*> stored;
  for (int64_t i = 0; i < count; ++i) {
    for (Page& page : targets[static_cast<size_t>(i)]->pages) {
      if (page.memory) continue;
      std::byte* buffer = tiers_.buffers().front();
      for_each_part(page, states[i], [&](int64_t offset, size_t bytes, const std::byte* source) {
        std::memcpy(buffer + offset, source, bytes);
      });
      tiers_.store(page, buffer);
      stored.push_back(&page);
    }
  }
  // Nothing fails from here on, but for a device that is lost.
  for (Page* page : stored) Tiers::flip(*page);
  for (int64_t i = 0; i < count; ++i) {
    for (Page& page : targets[static_cast<size_t>(i)]->pages) {
      if (!page.memory) continue;
      for_each_part(page, states[i], [&](int64_t offset, size_t bytes, const std::byte* source) {
        device_.copy_to_device(page.memory + offset, source, bytes);
      });
      page.fresh = false;
      page.in_file = false;
    }
  }
}

}  // namespace lk::pager
