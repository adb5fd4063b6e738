// Launches: checked against the limits of a GPU, then run to their end.
#include <unordered_map>

#include "emulator/launch.h"
#include "emulator/runtime/state.h"

namespace lk::emulator {
namespace {

constexpr uint64_t kMaxThreads = 1024;
constexpr unsigned kMaxGridYZ = 65535, kMaxGridX = 2147483647, kMaxBlockZ = 64, kMaxCluster = 16;
constexpr size_t kSharedBytes = size_t{48} << 10, kSharedBytesOptIn = size_t{227} << 10;

std::mutex mutex;
std::unordered_map<const void*, size_t> opted_in;  // dynamic shared memory that a kernel asked for

bool fits(const dim3& grid, const dim3& block) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) return false;
  if (grid.x > kMaxGridX || grid.y > kMaxGridYZ || grid.z > kMaxGridYZ || block.z > kMaxBlockZ) return false;
  return uint64_t{block.x} * block.y * block.z <= kMaxThreads;
}

size_t shared_limit(const void* function) {
  std::lock_guard<std::mutex> lock(mutex);
  const auto found = opted_in.find(function);
  return found == opted_in.end() ? kSharedBytes : found->second;
}

}  // namespace

cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const void* function, void (*body)(const void*),
                          const void* context) {
  LK_BEGIN_CALL(kLaunch);
  if (!valid(config.stream)) return result(cudaErrorInvalidResourceHandle);
  if (!fits(config.gridDim, config.blockDim)) return result(cudaErrorInvalidConfiguration);
  if (config.dynamicSmemBytes > shared_limit(function)) return result(cudaErrorInvalidValue);
  LaunchShape shape;
  shape.grid = config.gridDim;
  shape.block = config.blockDim;
  shape.shared_bytes = config.dynamicSmemBytes;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
    const auto& c = config.attrs[i].val.clusterDim;
    shape.cluster = dim3(c.x, c.y, c.z);
    if (c.x * c.y * c.z == 0 || c.x * c.y * c.z > kMaxCluster || shape.grid.x % c.x || shape.grid.y % c.y ||
        shape.grid.z % c.z) {
      return result(cudaErrorInvalidClusterSize);
    }
  }
  const cudaError_t fault = kernel_fault();  // returned by the next call, and by all after it where it is sticky
  if (fault != cudaSuccess) {
    break_device(fault);
    return cudaSuccess;
  }
  if (!run_grid(shape, body, context)) break_device(cudaErrorLaunchFailure);
  return cudaSuccess;
}

}  // namespace lk::emulator

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  LK_BEGIN_CALL(kAny);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<size_t>(value) > lk::emulator::kSharedBytesOptIn) {
    return lk::emulator::result(cudaErrorInvalidValue);
  }
  std::lock_guard<std::mutex> lock(lk::emulator::mutex);
  lk::emulator::opted_in[function] = static_cast<size_t>(value);
  return cudaSuccess;
}
