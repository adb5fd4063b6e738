#include "cpu/device.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <utility>

#include "common/error.h"
#include "cpu/thread_pool.h"

namespace lk::cpu {
namespace {

constexpr size_t kAlignment = 64;
// From this size on, memory comes in whole huge pages: fewer TLB misses in kernels that stream through a weight.
constexpr size_t kHugePage = size_t{2} << 20;
// From this size on, memory is mapped and goes back to the system when it is released. The C library's heap keeps it, and
// up to glibc 2.37 aligned requests do not find what aligned ones left: a merge grew by every adapter that it had closed.
constexpr size_t kMapped = size_t{128} << 10;

// Zeros from the system, aligned to a huge page where that many bytes are asked for; null: there are none.
void* map_memory(size_t bytes) {
  const size_t slack = bytes >= kHugePage ? kHugePage : 0;
  void* const memory = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (!slack) return memory;
  char* const begin = static_cast<char*>(memory);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  // What is not whole pages stays with the block.
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), after = (before + bytes + page - 1) / page * page;
  const size_t end = (bytes + slack + page - 1) / page * page;
  if (before) munmap(begin, before);
  if (end > after) munmap(begin + after, end - after);
  madvise(begin + before, bytes, MADV_HUGEPAGE);
  return begin + before;
}

void* allocate_aligned(size_t bytes, size_t alignment) {
  return std::aligned_alloc(alignment, (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment);
}

int64_t total_memory() {
  struct sysinfo info;
  return sysinfo(&info) == 0 ? static_cast<int64_t>(info.totalram) * info.mem_unit : 0;
}

// A request beyond what the machine has would succeed (memory is promised, not given) and end the process when it is touched.
int64_t memory_limit() {
  struct sysinfo info;
  if (sysinfo(&info) != 0) return INT64_MAX;
  return static_cast<int64_t>((info.totalram + info.totalswap) * info.mem_unit);
}

int64_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    long long kib;
    if (std::sscanf(line.c_str(), "MemAvailable: %lld kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "x86-64 processor";
}

}  // namespace

CpuDevice::CpuDevice(const KernelTable& table, std::string reason)
    : Device(LK_BACKEND_CPU, 0, table), reason_(std::move(reason)) {}

CpuDevice::~CpuDevice() {
  drop_workspaces();
}

void CpuDevice::query(lk_device_info& out) const {
  out.threads = num_threads();
  out.total_bytes = total_memory();
  out.available_bytes = available_memory();
  std::snprintf(out.name, sizeof out.name, "%s", processor_name().c_str());
  std::snprintf(out.reason, sizeof out.reason, "%s", reason_.c_str());
}

void* CpuDevice::allocate(size_t bytes) {
  if (bytes > static_cast<size_t>(memory_limit())) return nullptr;
  if (bytes < kMapped) {
    void* const memory = allocate_aligned(bytes, kAlignment);
    if (memory) std::memset(memory, 0, bytes);
    return memory;
  }
  void* const memory = map_memory(bytes);
  if (!memory) return nullptr;
  try {
    std::lock_guard<std::mutex> lock(mapped_mutex_);
    mapped_.emplace(memory, bytes);
    return memory;
  } catch (const std::bad_alloc&) {
    munmap(memory, bytes);
    return nullptr;
  }
}

void* CpuDevice::allocate_workspace(size_t bytes) {
  return allocate_aligned(bytes, kAlignment);
}

void CpuDevice::release(void* memory) noexcept {
  size_t mapped = 0;
  {
    std::lock_guard<std::mutex> lock(mapped_mutex_);
    const auto found = mapped_.find(memory);
    if (found != mapped_.end()) {
      mapped = found->second;
      mapped_.erase(found);
    }
  }
  if (mapped) {
    munmap(memory, mapped);
  } else {
    std::free(memory);
  }
}

int64_t CpuDevice::free_bytes() const {
  return memory_limit() - stats.allocated_bytes;
}

void CpuDevice::zero(void* memory, size_t bytes) {
  std::memset(memory, 0, bytes);
}

void CpuDevice::copy_to_device(void* destination, const void* host_source, size_t bytes) {
  std::memmove(destination, host_source, bytes);
}

void CpuDevice::copy_to_host(void* host_destination, const void* source, size_t bytes) {
  std::memmove(host_destination, source, bytes);
}

uint64_t CpuDevice::stream_handle() const {
  fail(LK_UNSUPPORTED, "lk_device_stream: a CPU device has no streams");
}

}  // namespace lk::cpu
