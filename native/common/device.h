// A device handle: what every backend's device can do, and the memory that it accounts for. cpu/device.h and cuda/device.h
// derive from it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/kernel_table.h"
#include "lora_kernels.h"

namespace lk {

// What one operation may take for itself, beyond its outputs: the promise of lora_kernels.h, on the CPU and on CUDA.
inline constexpr size_t kMaxWorkspaceBytes = size_t{2} << 20, kMaxCudaWorkspaceBytes = size_t{64} << 20;

}  // namespace lk

// The handle that C sees is the device itself; inside the library it is lk::Device.
struct lk_device {
  lk_device(lk_backend its_backend, int32_t its_ordinal, const lk::KernelTable& its_kernels)
      : backend(its_backend), ordinal(its_ordinal), kernels(&its_kernels) {}
  // Memory in `live` stays the caller's. Every derived destructor calls drop_workspaces().
  virtual ~lk_device() = default;
  lk_device(const lk_device&) = delete;
  lk_device& operator=(const lk_device&) = delete;

  const lk_backend backend;
  const int32_t ordinal;
  const lk::KernelTable* const kernels;

  virtual void query(lk_device_info& out) const = 0;
  // Memory aligned to 64 bytes, zeroed, or null where it does not fit. Ordered as the device's operations are.
  virtual void* allocate(size_t bytes) = 0;
  // The same for what an operation takes for itself: not zeroed.
  virtual void* allocate_workspace(size_t bytes) = 0;
  // Memory from either; reused at the earliest by operations that are given later. Never fails.
  virtual void release(void* memory) noexcept = 0;
  // What could still be allocated, as an error message says it; call with `mutex` held.
  virtual int64_t free_bytes() const = 0;
  // Whether a cached workspace may be freed before the device is closed.
  virtual bool keeps_workspaces() const = 0;
  virtual void zero(void* memory, size_t bytes) = 0;
  // Ordered after the operations given before, complete on return.
  virtual void copy_to_device(void* destination, const void* host_source, size_t bytes) = 0;
  virtual void copy_to_host(void* host_destination, const void* source, size_t bytes) = 0;
  virtual void synchronize() = 0;
  // Throws Error(LK_UNSUPPORTED) where there are no streams.
  virtual uint64_t stream_handle() const = 0;

  // Marks the device as lost: every later operation fails with LK_DEVICE_LOST and the first reason that was given.
  void lose(const std::string& reason);
  bool lost() const { return lost_.load(std::memory_order_acquire); }
  // Throws Error(LK_DEVICE_LOST) where it is lost.
  void require_present() const;

  mutable std::mutex mutex;                               // guards all below
  std::unordered_map<lk_address, int64_t> live;           // from lk_alloc: address -> bytes
  std::vector<std::pair<void*, size_t>> idle_workspaces;  // cached for the next operation
  lk_memory_stats stats{};

 protected:
  void drop_workspaces() noexcept;

 private:
  std::mutex lost_mutex_;  // apart from `mutex`, which is held while memory is taken
  std::string lost_reason_;
  std::atomic<bool> lost_{false};
};

namespace lk {

// Memory that an operation needs while it runs: 64-byte aligned, not zeroed, taken from the device's cache and given back
// on destruction. Concurrent operations get buffers of their own; where operations are queued on a stream, one that is
// queued later may get the same buffer. Throws Error(LK_OUT_OF_MEMORY).
// A matmul or LoRA operation takes at most one, of at most max_workspace_bytes().
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

inline size_t max_workspace_bytes(const Device& device) {
  return device.backend == LK_BACKEND_CUDA ? kMaxCudaWorkspaceBytes : kMaxWorkspaceBytes;
}

}  // namespace lk
