#include "common/device.h"

#include <algorithm>

#include "common/error.h"

namespace {

// More concurrent operations than this give their workspace back to the system instead of keeping it.
constexpr size_t kIdleWorkspaces = 8;

}  // namespace

void lk_device::lose(const std::string& reason) {
  std::lock_guard<std::mutex> lock(lost_mutex_);
  if (lost()) return;
  lost_reason_ = reason;
  lost_.store(true, std::memory_order_release);
}

void lk_device::require_present() const {
  if (!lost()) return;  // lost_reason_ does not change after the flag is set
  lk::fail(LK_DEVICE_LOST, "the device is lost, close it and open another: %s", lost_reason_.c_str());
}

void lk_device::drop_workspaces() noexcept {
  for (const auto& buffer : idle_workspaces) release(buffer.first);
  idle_workspaces.clear();
}

namespace lk {

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
  if (device.keeps_workspaces()) {
    // A few sizes serve all operations, so that none has to allocate once each has run.
    bytes_ = std::max(bytes, kMaxWorkspaceBytes);
  } else if (!idle.empty()) {
    // A cached buffer too small for this operation will be too small again: replace it instead of keeping both.
    device.release(idle.back().first);
    device.stats.workspace_bytes -= static_cast<int64_t>(idle.back().second);
    idle.pop_back();
  }
  data_ = device.allocate_workspace(bytes_);
  if (!data_) {
    fail(LK_OUT_OF_MEMORY,
         "out of memory: %zu bytes of workspace requested, free %lld, allocated by this device now %lld, at most %lld",
         bytes, static_cast<long long>(device.free_bytes()),
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
  if (device_.idle_workspaces.size() < kIdleWorkspaces || device_.keeps_workspaces()) {
    device_.idle_workspaces.emplace_back(data_, bytes_);
    return;
  }
  device_.release(data_);
  device_.stats.workspace_bytes -= static_cast<int64_t>(bytes_);
}

}  // namespace lk
