// Devices: what exists, opening and closing, and what a handle knows of itself.
#include <sys/sysinfo.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "api/guard.h"
#include "api/validate.h"
#include "cpu/backend.h"
#include "cpu/thread_pool.h"
#ifdef LK_WITH_CUDA
#include "cuda/probe.h"
#endif

using lk::api::Check;
using lk::api::guard;

namespace {

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "x86-64 processor";
}

int64_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    long long kib;
    if (std::sscanf(line.c_str(), "MemAvailable: %lld kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

int64_t total_memory() {
  struct sysinfo info;
  return sysinfo(&info) == 0 ? static_cast<int64_t>(info.totalram) * info.mem_unit : 0;
}

template <size_t N>
void copy_text(char (&out)[N], const std::string& text) {
  std::snprintf(out, N, "%s", text.c_str());
}

// Throws Error(LK_BACKEND_UNAVAILABLE) with the reason, or returns what there is.
std::string probe(int32_t backend) {
  if (backend == LK_BACKEND_CPU) {
    std::string reason;
    const char* kernels = lk::cpu::select(reason).name;
    return std::string(kernels) + " kernels: " + reason;
  }
  if (backend != LK_BACKEND_CUDA) lk::fail(LK_BACKEND_UNAVAILABLE, "there is no backend %d", backend);
#ifdef LK_WITH_CUDA
  std::string found;
  const bool device = lk::cuda::probe(found);
  lk::fail(LK_BACKEND_UNAVAILABLE, "%s%s", found.c_str(), device ? "; this version has no CUDA kernels yet" : "");
#else
  lk::fail(LK_BACKEND_UNAVAILABLE, "built without CUDA: no nvcc was found when the library was built");
#endif
}

}  // namespace

extern "C" {

lk_status lk_backend_probe(int32_t backend, char* reason, size_t size) {
  std::string text;
  lk_status status = LK_OK;
  try {
    text = probe(backend);
  } catch (const lk::Error& error) {
    text = error.message;
    status = error.status;
  } catch (...) {
    text = "out of memory";
    status = LK_BACKEND_UNAVAILABLE;
  }
  if (reason && size > 0) std::snprintf(reason, size, "%s", text.c_str());
  return status;
}

lk_status lk_device_open(int32_t backend, int32_t ordinal, lk_device** out) {
  return guard("lk_device_open", [&] {
    Check("lk_device_open").not_null(out, "out");
    *out = nullptr;
    probe(backend);
    if (ordinal != 0)
      lk::fail(LK_BACKEND_UNAVAILABLE, "lk_device_open: there is one CPU device, 0, but %d was asked for", ordinal);
    lk_device* device = new lk_device;
    device->kernels = &lk::cpu::select(device->kernels_reason);
    *out = device;
  });
}

lk_status lk_device_close(lk_device* device) {
  delete device;
  return LK_OK;
}

lk_status lk_device_query(const lk_device* device, lk_device_info* out) {
  return guard("lk_device_query", [&] {
    const Check check("lk_device_query");
    check.device(device);
    check.not_null(out, "out");
    *out = lk_device_info{};
    out->backend = device->backend;
    out->ordinal = device->ordinal;
    out->threads = lk::cpu::num_threads();
    out->total_bytes = total_memory();
    out->available_bytes = available_memory();
    copy_text(out->name, processor_name());
    copy_text(out->kernels, device->kernels->name);
    copy_text(out->reason, device->kernels_reason);
  });
}

lk_status lk_device_memory(const lk_device* device, lk_memory_stats* out) {
  return guard("lk_device_memory", [&] {
    const Check check("lk_device_memory");
    check.device(device);
    check.not_null(out, "out");
    std::lock_guard<std::mutex> lock(device->mutex);
    *out = device->stats;
  });
}

lk_status lk_device_synchronize(lk_device* device) {
  return guard("lk_device_synchronize", [&] { Check("lk_device_synchronize").device(device); });
}

}  // extern "C"
