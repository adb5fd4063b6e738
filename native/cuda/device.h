// A GPU as a device: one stream that all its operations go to, its memory pool, and what every call into the CUDA runtime
// is checked by. README.md beside this file has the rules of streams and errors.
#pragma once

#include <cuda_runtime.h>

#include "common/device.h"

namespace lk::cuda {

struct ValueReport;

class CudaDevice final : public Device {
 public:
  // Opens GPU `ordinal`. Work goes to a stream of its own, or to `*stream`, which stays the caller's and must outlive the
  // device (the null handle there is the legacy default stream). Throws Error(LK_BACKEND_UNAVAILABLE).
  CudaDevice(int32_t ordinal, const cudaStream_t* stream);
  ~CudaDevice() override;

  cudaStream_t stream() const { return stream_; }
  const cudaDeviceProp& properties() const { return properties_; }
  // Where kernels report values of I32 tensors that are out of range; every call that waits for the stream throws what
  // stands there. cuda/values.cuh has the rules.
  ValueReport* value_report() const { return value_report_; }

  // Makes this GPU the calling thread's, which every call into the runtime presumes; throws where the device is lost.
  // `what` is about to be done, as for check.
  void make_current(const char* what);
  // Nothing on success; otherwise throws the lk::Error that `error` means, having marked the device as lost where the GPU
  // cannot go on. `what` was tried: "copying 12 bytes to the device".
  void check(cudaError_t error, const char* what);

  void query(lk_device_info& out) const override;
  void* allocate(size_t bytes) override;
  void* allocate_workspace(size_t bytes) override;
  void release(void* memory) noexcept override;
  int64_t free_bytes() const override;
  bool keeps_workspaces() const override { return true; }  // a captured graph names them
  void zero(void* memory, size_t bytes) override;
  void copy_to_device(void* destination, const void* host_source, size_t bytes) override;
  void copy_to_host(void* host_destination, const void* source, size_t bytes) override;
  void synchronize() override;
  uint64_t stream_handle() const override { return reinterpret_cast<uintptr_t>(stream_); }

 private:
  // Waits for the stream; throws what a kernel reported.
  void wait(const char* what);
  void copy(void* destination, const void* source, size_t bytes);

  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  bool owns_stream_ = false;
  ValueReport* value_report_ = nullptr;
  cudaMemPool_t pool_ = nullptr;
};

// The device of an operation that was dispatched to this backend.
inline CudaDevice& cuda_device(Device& device) {
  return static_cast<CudaDevice&>(device);
}

}  // namespace lk::cuda
