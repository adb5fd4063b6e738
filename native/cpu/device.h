// The CPU as a device: its memory is host memory, and its operations are done when they return.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "common/device.h"

namespace lk::cpu {

class CpuDevice final : public Device {
 public:
  // `reason` says why this table, as lk_device_info shows it.
  explicit CpuDevice(const KernelTable& kernels, std::string reason = {});
  ~CpuDevice() override;

  void query(lk_device_info& out) const override;
  void* allocate(size_t bytes) override;
  void* allocate_workspace(size_t bytes) override;
  void release(void* memory) noexcept override;
  int64_t free_bytes() const override;
  bool keeps_workspaces() const override { return false; }
  void zero(void* memory, size_t bytes) override;
  void copy_to_device(void* destination, const void* host_source, size_t bytes) override;
  void copy_to_host(void* host_destination, const void* source, size_t bytes) override;
  void synchronize() override {}
  uint64_t stream_handle() const override;

 private:
  const std::string reason_;
  std::mutex mapped_mutex_;                   // guards mapped_
  std::unordered_map<void*, size_t> mapped_;  // blocks that are mappings of their own, with their bytes
};

}  // namespace lk::cpu
