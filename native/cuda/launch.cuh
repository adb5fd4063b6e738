// The one place that launches kernels, and what every kernel gets from it.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "cuda/device.h"

// The dynamic shared memory of a block, aligned to 128 bytes: as many bytes as the launch asked for. There is no other
// shared memory, so that tests can poison and fence it.
#ifdef LK_EMULATED
#define LK_SHARED_MEMORY() (::lk::emulator::shared_memory())
#else
#define LK_SHARED_MEMORY() (::lk::cuda::shared_memory())

namespace lk::cuda {

__device__ __forceinline__ unsigned char* shared_memory() {
  extern __shared__ __align__(128) unsigned char lk_dynamic_shared_memory[];
  return lk_dynamic_shared_memory;
}

}  // namespace lk::cuda
#endif

namespace lk::cuda {

// More dynamic shared memory than this must be asked for.
inline constexpr size_t kSharedBytesByDefault = size_t{48} << 10;

// Blocks for a kernel whose threads walk `count` items in strides of the whole grid: enough to fill the GPU, and never more
// than one item needs.
inline unsigned grid_stride_blocks(const CudaDevice& device, int64_t count, int threads) {
  const int64_t needed = (count + threads - 1) / threads;
  const int64_t enough = int64_t{device.properties().multiProcessorCount} * 32;
  return static_cast<unsigned>(std::max<int64_t>(1, std::min(needed, enough)));
}

// Queues kernel<<<grid, block, shared_bytes>>>(arguments ...) on the device's stream. Throws lk::Error where the launch is
// refused; what goes wrong while it runs is reported by a later call (CudaDevice::check).
template <typename... Parameters, typename... Arguments>
void launch(Device& device, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            Arguments&&... arguments) {
  CudaDevice& gpu = cuda_device(device);
  gpu.make_current("launching a kernel");
  if (shared_bytes > kSharedBytesByDefault) {
    gpu.check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shared_bytes)),
              "asking for shared memory");
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = gpu.stream();
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
  if (error == cudaSuccess) return;
  char what[160];
  std::snprintf(what, sizeof what, "launching a kernel (grid %u x %u x %u, block %u x %u x %u, %zu bytes shared)",
                grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes);
  gpu.check(error, what);
}

}  // namespace lk::cuda
