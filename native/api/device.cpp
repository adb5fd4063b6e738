// Devices: what exists, opening and closing, and what a handle knows of itself.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "api/guard.h"
#include "api/validate.h"
#include "cpu/backend.h"
#include "cpu/device.h"
#ifdef LK_WITH_CUDA
#include "cuda/backend.h"
#endif

using lk::api::Check;
using lk::api::guard;

namespace {

[[noreturn]] void no_backend(int32_t backend) {
#ifndef LK_WITH_CUDA
  if (backend == LK_BACKEND_CUDA) {
    lk::fail(LK_BACKEND_UNAVAILABLE,
             "built without CUDA: there was no nvcc or no NVIDIA driver, or LK_CUDA=OFF; LK_CUDA=ON builds with it");
  }
#endif
  lk::fail(LK_BACKEND_UNAVAILABLE, "there is no backend %d", backend);
}

// Throws Error(LK_BACKEND_UNAVAILABLE) with the reason, or returns what there is.
std::string probe(int32_t backend) {
  if (backend == LK_BACKEND_CPU) {
    std::string reason;
    const char* kernels = lk::cpu::select(reason).name;
    return std::string(kernels) + " kernels: " + reason;
  }
#ifdef LK_WITH_CUDA
  if (backend == LK_BACKEND_CUDA) return lk::cuda::probe();
#endif
  no_backend(backend);
}

// On `*stream` where it is not null.
std::unique_ptr<lk_device> open_device(const char* operation, int32_t backend, int32_t ordinal,
                                       const uint64_t* stream) {
  if (backend == LK_BACKEND_CPU) {
    std::string reason;
    const lk::KernelTable& kernels = lk::cpu::select(reason);
    if (ordinal != 0)
      lk::fail(LK_BACKEND_UNAVAILABLE, "%s: there is one CPU device, 0, but %d was asked for", operation, ordinal);
    if (stream) lk::fail(LK_UNSUPPORTED, "%s: a CPU device has no streams; use lk_device_open", operation);
    return std::make_unique<lk::cpu::CpuDevice>(kernels, std::move(reason));
  }
#ifdef LK_WITH_CUDA
  if (backend == LK_BACKEND_CUDA) return lk::cuda::open(ordinal, stream);
#endif
  no_backend(backend);
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
    *out = open_device("lk_device_open", backend, ordinal, nullptr).release();
  });
}

lk_status lk_device_open_on_stream(int32_t backend, int32_t ordinal, uint64_t stream, lk_device** out) {
  return guard("lk_device_open_on_stream", [&] {
    Check("lk_device_open_on_stream").not_null(out, "out");
    *out = nullptr;
    *out = open_device("lk_device_open_on_stream", backend, ordinal, &stream).release();
  });
}

lk_status lk_device_stream(const lk_device* device, uint64_t* out) {
  return guard("lk_device_stream", [&] {
    const Check check("lk_device_stream");
    check.device(device);
    check.not_null(out, "out");
    *out = device->stream_handle();
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
    std::snprintf(out->kernels, sizeof out->kernels, "%s", device->kernels->name);
    device->query(*out);
  });
}

lk_status lk_device_memory(const lk_device* device, lk_memory_stats* out) {
  return guard("lk_device_memory", [&] {
    const Check check("lk_device_memory");
    check.not_null(device, "device");  // bookkeeping: a lost device has it too
    check.not_null(out, "out");
    std::lock_guard<std::mutex> lock(device->mutex);
    *out = device->stats;
  });
}

lk_status lk_device_synchronize(lk_device* device) {
  return guard("lk_device_synchronize", [&] {
    Check("lk_device_synchronize").device(device);
    device->synchronize();
  });
}

}  // extern "C"
