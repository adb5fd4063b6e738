#include "common/device.h"

#include <algorithm>
#include <new>

#include "common/error.h"

namespace lk {
namespace {

constexpr std::align_val_t kAlignment{64};
// More concurrent operations than this give their workspace back to the system instead of keeping it.
constexpr size_t kIdleWorkspaces = 8;

}  // namespace

Device::~Device() {
  for (const auto& buffer : idle_workspaces) ::operator delete(buffer.first, kAlignment);
}

Workspace::Workspace(Device& device, size_t bytes) : device_(device), data_(nullptr), bytes_(bytes) {
  std::lock_guard<std::mutex> lock(device.mutex);
  auto& idle = device.idle_workspaces;
  const auto fitting =
      std::find_if(idle.begin(), idle.end(), [&](const auto& buffer) { return buffer.second >= bytes; });
  if (fitting != idle.end()) {
    data_ = fitting->first;
    bytes_ = fitting->second;
    idle.erase(fitting);
    return;
  }
  // A cached buffer too small for this operation will be too small again: replace it instead of keeping both.
  if (!idle.empty()) {
    ::operator delete(idle.back().first, kAlignment);
    device.stats.workspace_bytes -= static_cast<int64_t>(idle.back().second);
    idle.pop_back();
  }
  data_ = ::operator new(std::max<size_t>(bytes, 64), kAlignment, std::nothrow);
  if (!data_) {
    fail(LK_OUT_OF_MEMORY,
         "out of memory: %zu bytes of workspace requested, %lld allocated by this device now, %lld at most", bytes,
         static_cast<long long>(device.stats.allocated_bytes + device.stats.workspace_bytes),
         static_cast<long long>(device.stats.allocated_peak_bytes + device.stats.workspace_peak_bytes));
  }
  lk_memory_stats& stats = device.stats;
  stats.workspace_bytes += static_cast<int64_t>(bytes_);
  stats.workspace_peak_bytes = std::max(stats.workspace_peak_bytes, stats.workspace_bytes);
  ++stats.workspace_count;
}

Workspace::~Workspace() {
  std::lock_guard<std::mutex> lock(device_.mutex);
  if (device_.idle_workspaces.size() < kIdleWorkspaces) {
    device_.idle_workspaces.emplace_back(data_, bytes_);
    return;
  }
  ::operator delete(data_, kAlignment);
  device_.stats.workspace_bytes -= static_cast<int64_t>(bytes_);
}

}  // namespace lk
