// Memory of a device, and mapped files.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"

using lk::at_address;
using lk::fail;
using lk::api::Check;
using lk::api::guard;

namespace {

long long ll(int64_t value) {
  return static_cast<long long>(value);
}

void check_copy(const char* operation, const lk_device* device, lk_address destination, lk_address source,
                int64_t bytes) {
  const Check check(operation);
  check.device(device);
  if (bytes < 0) fail(LK_INVALID_ARGUMENT, "%s: bytes must be at least 0, but is %lld", operation, ll(bytes));
  if (bytes > 0 && (!destination || !source)) {
    fail(LK_INVALID_ARGUMENT, "%s: destination and source must not be null", operation);
  }
}

// Closes a file descriptor at the end of a scope.
struct File {
  int descriptor;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }
};

}  // namespace

extern "C" {

lk_status lk_alloc(lk_device* device, int64_t bytes, lk_address* out) {
  return guard("lk_alloc", [&] {
    const Check check("lk_alloc");
    check.device(device);
    check.not_null(out, "out");
    *out = 0;
    if (bytes < 0) fail(LK_INVALID_ARGUMENT, "lk_alloc: bytes must be at least 0, but is %lld", ll(bytes));
    void* memory = device->allocate(static_cast<size_t>(bytes));
    std::lock_guard<std::mutex> lock(device->mutex);
    lk_memory_stats& stats = device->stats;
    if (!memory) {
      fail(LK_OUT_OF_MEMORY, "lk_alloc: out of memory: requested %lld bytes, free %lld, peak of this device %lld",
           ll(bytes), ll(device->free_bytes()), ll(stats.allocated_peak_bytes));
    }
    const lk_address address = static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory));
    try {
      device->live.emplace(address, bytes);
    } catch (...) {
      device->release(memory);
      throw;
    }
    stats.allocated_bytes += bytes;
    stats.allocated_peak_bytes = std::max(stats.allocated_peak_bytes, stats.allocated_bytes);
    ++stats.allocation_count;
    *out = address;
  });
}

lk_status lk_free(lk_device* device, lk_address address) {
  return guard("lk_free", [&] {
    Check("lk_free").not_null(device, "device");  // memory of a lost device is given back too
    if (!address) return;
    {
      std::lock_guard<std::mutex> lock(device->mutex);
      const auto entry = device->live.find(address);
      if (entry == device->live.end()) {
        fail(LK_INVALID_ARGUMENT,
             "lk_free: 0x%llx is not memory that lk_alloc gave on this device, or it was freed before",
             static_cast<unsigned long long>(address));
      }
      device->stats.allocated_bytes -= entry->second;
      device->live.erase(entry);
    }
    device->release(at_address<void>(address));
  });
}

lk_status lk_copy_to_device(lk_device* device, lk_address destination, lk_address host_source, int64_t bytes) {
  return guard("lk_copy_to_device", [&] {
    check_copy("lk_copy_to_device", device, destination, host_source, bytes);
    if (bytes == 0) return;
    device->copy_to_device(at_address<void>(destination), at_address<void>(host_source), static_cast<size_t>(bytes));
  });
}

lk_status lk_copy_to_host(lk_device* device, lk_address host_destination, lk_address source, int64_t bytes) {
  return guard("lk_copy_to_host", [&] {
    check_copy("lk_copy_to_host", device, host_destination, source, bytes);
    if (bytes == 0) return;
    device->copy_to_host(at_address<void>(host_destination), at_address<void>(source), static_cast<size_t>(bytes));
  });
}

lk_status lk_file_map(const char* path, lk_address* out, int64_t* bytes) {
  return guard("lk_file_map", [&] {
    const Check check("lk_file_map");
    check.not_null(path, "path_utf8");
    check.not_null(out, "out");
    check.not_null(bytes, "bytes");
    *out = 0;
    *bytes = 0;
    const File file{open(path, O_RDONLY | O_CLOEXEC)};
    if (file.descriptor < 0) fail(LK_IO_ERROR, "cannot open %s: %s", path, std::strerror(errno));
    struct stat status;
    if (fstat(file.descriptor, &status) != 0)
      fail(LK_IO_ERROR, "cannot read the size of %s: %s", path, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(LK_IO_ERROR, "%s is not a regular file", path);
    if (status.st_size == 0) return;
    void* memory = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_SHARED, file.descriptor, 0);
    if (memory == MAP_FAILED) {
      fail(LK_IO_ERROR, "cannot map the %lld bytes of %s: %s", ll(status.st_size), path, std::strerror(errno));
    }
    *out = static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory));
    *bytes = status.st_size;
  });
}

lk_status lk_file_unmap(lk_address address, int64_t bytes) {
  return guard("lk_file_unmap", [&] {
    if (!address) return;
    if (bytes <= 0)
      fail(LK_INVALID_ARGUMENT, "lk_file_unmap: bytes must be the size that lk_file_map gave, but is %lld", ll(bytes));
    if (munmap(at_address<void>(address), static_cast<size_t>(bytes)) != 0) {
      fail(LK_IO_ERROR, "cannot unmap %lld bytes at 0x%llx: %s", ll(bytes), static_cast<unsigned long long>(address),
           std::strerror(errno));
    }
  });
}

lk_status lk_file_evict(lk_address address, int64_t bytes) {
  return guard("lk_file_evict", [&] {
    if (bytes < 0) fail(LK_INVALID_ARGUMENT, "lk_file_evict: bytes must be at least 0, but is %lld", ll(bytes));
    const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t first = (address + page - 1) / page * page;
    const uint64_t end = (address + static_cast<uint64_t>(bytes)) / page * page;
    if (end <= first) return;  // no whole page
    if (madvise(at_address<void>(first), end - first, MADV_DONTNEED) != 0) {
      fail(LK_IO_ERROR, "cannot evict %lld bytes at 0x%llx: %s", ll(bytes), static_cast<unsigned long long>(address),
           std::strerror(errno));
    }
  });
}

}  // extern "C"
