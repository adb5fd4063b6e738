// A device handle, and the memory that it accounts for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/kernel_table.h"
#include "lora_kernels.h"

namespace lk {

// What one operation may take for itself, beyond its outputs: the promise of lora_kernels.h.
inline constexpr size_t kMaxWorkspaceBytes = size_t{2} << 20;

struct Device {
  Device() = default;
  ~Device();  // frees the cached workspaces; memory in `live` stays the caller's
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  lk_backend backend = LK_BACKEND_CPU;
  int32_t ordinal = 0;
  const KernelTable* kernels = nullptr;
  std::string kernels_reason;

  mutable std::mutex mutex;                               // guards all below
  std::unordered_map<lk_address, int64_t> live;           // from lk_alloc: address -> bytes
  std::vector<std::pair<void*, size_t>> idle_workspaces;  // cached for the next operation
  lk_memory_stats stats{};
};

// Memory that an operation needs while it runs: 64-byte aligned, not zeroed, taken from the device's cache and given back
// on destruction. Concurrent operations get buffers of their own. Throws Error(LK_OUT_OF_MEMORY).
// A matmul or LoRA operation takes at most one, of at most kMaxWorkspaceBytes.
class Workspace {
 public:
  Workspace(Device& device, size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t size() const { return bytes_; }

 private:
  Device& device_;
  void* data_;
  size_t bytes_;
};

}  // namespace lk
