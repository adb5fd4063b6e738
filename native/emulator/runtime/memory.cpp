// Device memory: the host's, of exactly the size that was asked for, filled with a poison that is NaN in every float format, and
// with a fence behind it that is looked at when it is freed. AddressSanitizer sees every access past the end at once.
#include <cstdlib>
#include <cstring>
#include <set>
#include <unordered_map>

#include "emulator/engine/report.h"
#include "emulator/runtime/state.h"

using lk::emulator::machine;
using lk::emulator::result;

struct CUmemPoolHandle_st {};

namespace {

constexpr size_t kAlignment = 256;  // as cudaMalloc promises
constexpr unsigned char kPoison = 0xff, kFenceByte = 0xa5;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kFence = 0;
#else
constexpr size_t kFence = 256;
#endif

std::mutex mutex;
std::unordered_map<void*, size_t> live;
std::unordered_map<void*, size_t> pinned;
std::set<cudaMemPool_t> pools;
size_t live_bytes = 0;

cudaError_t allocate(void** pointer, size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  if (bytes > machine().memory_bytes - live_bytes) return cudaErrorMemoryAllocation;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes + kFence) != 0) return cudaErrorMemoryAllocation;
  std::memset(memory, kPoison, bytes);
  std::memset(static_cast<char*>(memory) + bytes, kFenceByte, kFence);
  live.emplace(memory, bytes);
  live_bytes += bytes;
  *pointer = memory;
  return cudaSuccess;
}

cudaError_t release(void* pointer) {
  std::lock_guard<std::mutex> lock(mutex);
  const auto found = live.find(pointer);
  if (found == live.end()) return cudaErrorInvalidValue;
  const unsigned char* fence = static_cast<unsigned char*>(pointer) + found->second;
  for (size_t i = 0; i < kFence; ++i) {
    if (fence[i] == kFenceByte) continue;
    lk::emulator::report("something wrote %zu bytes behind an allocation of %zu bytes", i, found->second);
    break;
  }
  live_bytes -= found->second;
  live.erase(found);
  std::free(pointer);
  return cudaSuccess;
}

}  // namespace

void lk::emulator::drop_memory() {
  std::lock_guard<std::mutex> lock(mutex);
  for (const auto& allocation : live) std::free(allocation.first);
  for (const auto& allocation : pinned) std::free(allocation.first);
  for (const cudaMemPool_t pool : pools) delete pool;
  live.clear();
  pinned.clear();
  pools.clear();
  live_bytes = 0;
}

int64_t lk::emulator::live_allocations() {
  std::lock_guard<std::mutex> lock(mutex);
  return static_cast<int64_t>(live.size());
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  LK_BEGIN_CALL(kAllocate);
  if (bytes == 0) {
    *pointer = nullptr;
    return cudaSuccess;
  }
  return result(allocate(pointer, bytes));
}

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  LK_BEGIN_CALL(kAllocate);
  if (!lk::emulator::valid(stream)) return result(cudaErrorInvalidResourceHandle);
  return result(allocate(pointer, bytes));
}

cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t pool, cudaStream_t stream) {
  LK_BEGIN_CALL(kAllocate);
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (pools.count(pool) == 0) return result(cudaErrorInvalidResourceHandle);
  }
  if (!lk::emulator::valid(stream)) return result(cudaErrorInvalidResourceHandle);
  return result(allocate(pointer, bytes));
}

cudaError_t cudaFree(void* pointer) {
  LK_BEGIN_CALL(kAny);
  return pointer ? result(release(pointer)) : cudaSuccess;
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  LK_BEGIN_CALL(kAny);
  if (!lk::emulator::valid(stream)) return result(cudaErrorInvalidResourceHandle);
  return result(release(pointer));
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  LK_BEGIN_CALL(kAllocate);
  *pointer = std::malloc(bytes);
  if (!*pointer) return result(cudaErrorMemoryAllocation);
  std::lock_guard<std::mutex> lock(mutex);
  pinned.emplace(*pointer, bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* pointer) {
  LK_BEGIN_CALL(kAny);
  std::lock_guard<std::mutex> lock(mutex);
  if (pinned.erase(pointer) == 0) return result(cudaErrorInvalidValue);
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  LK_BEGIN_CALL(kDevices);
  std::lock_guard<std::mutex> lock(mutex);
  *total = machine().memory_bytes;
  *available = *total - live_bytes;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  LK_BEGIN_CALL(kCopy);
  if (!lk::emulator::valid(stream)) return result(cudaErrorInvalidResourceHandle);
  if (bytes > 0) std::memmove(destination, source, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(destination, source, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  LK_BEGIN_CALL(kCopy);
  if (!lk::emulator::valid(stream)) return result(cudaErrorInvalidResourceHandle);
  if (bytes > 0) std::memset(pointer, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* pointer, int value, size_t bytes) {
  return cudaMemsetAsync(pointer, value, bytes, nullptr);
}

// ---- pools: only their handles; what is freed goes back at once --------------------------------------------------

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  LK_BEGIN_CALL(kAny);
  if (properties->allocType != cudaMemAllocationTypePinned || properties->location.type != cudaMemLocationTypeDevice) {
    return result(cudaErrorInvalidValue);
  }
  *pool = new CUmemPoolHandle_st;
  std::lock_guard<std::mutex> lock(mutex);
  pools.insert(*pool);
  return cudaSuccess;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  LK_BEGIN_CALL(kAny);
  std::lock_guard<std::mutex> lock(mutex);
  if (pools.erase(pool) == 0) return result(cudaErrorInvalidValue);
  delete pool;
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr, void*) {
  LK_BEGIN_CALL(kAny);
  std::lock_guard<std::mutex> lock(mutex);
  return result(pools.count(pool) == 1 ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t) {
  LK_BEGIN_CALL(kAny);
  std::lock_guard<std::mutex> lock(mutex);
  return result(pools.count(pool) == 1 ? cudaSuccess : cudaErrorInvalidValue);
}
