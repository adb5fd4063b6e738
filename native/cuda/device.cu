#include "cuda/device.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "common/error.h"
#include "cuda/backend.h"
#include "cuda/errors.h"
#include "cuda/probe.h"
#include "cuda/values.cuh"

namespace lk::cuda {
namespace {

// As much as the pool wants to hold: memory that was freed serves the next allocation without a call into the driver.
constexpr uint64_t kKeepAll = UINT64_MAX;

[[noreturn]] void cannot_open(int32_t ordinal, const char* step, cudaError_t error) {
  cudaGetLastError();
  fail(LK_BACKEND_UNAVAILABLE, "cannot open CUDA device %d: %s: %s", ordinal, step, text_of(error).c_str());
}

}  // namespace

CudaDevice::CudaDevice(int32_t device_ordinal, const cudaStream_t* stream)
    : Device(LK_BACKEND_CUDA, device_ordinal, table()), owns_stream_(stream == nullptr) {
  const auto give_back = [&] {
    if (pool_) cudaMemPoolDestroy(pool_);
    if (value_report_) cudaFreeHost(value_report_);
  };
  const auto require = [&](cudaError_t error, const char* step) {
    if (error == cudaSuccess) return;
    give_back();
    cannot_open(ordinal, step, error);
  };
  require(cudaSetDevice(ordinal), "choosing it");
  require(cudaGetDeviceProperties(&properties_, ordinal), "reading its properties");
  int pools = 0;
  require(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, ordinal), "reading its attributes");
  require(pools ? cudaSuccess : cudaErrorNotSupported, "its driver has no memory pools");
  cudaMemPoolProps pool{};
  pool.allocType = cudaMemAllocationTypePinned;
  pool.location.type = cudaMemLocationTypeDevice;
  pool.location.id = ordinal;
  require(cudaMemPoolCreate(&pool_, &pool), "making a memory pool");
  uint64_t keep = kKeepAll;
  require(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep), "setting its memory pool up");
  require(cudaMallocHost(reinterpret_cast<void**>(&value_report_), sizeof *value_report_),
          "allocating page-locked memory");
  *value_report_ = ValueReport{};
  if (stream) {
    stream_ = *stream;
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    const cudaError_t error = cudaStreamIsCapturing(stream_, &capture);  // the cheapest look at a handle
    if (error == cudaErrorInvalidResourceHandle) {
      cudaGetLastError();
      give_back();
      fail(LK_INVALID_ARGUMENT, "stream must be a stream of CUDA device %d, or 0, but is none: %s", ordinal,
           text_of(error).c_str());
    }
    require(error, "looking at the stream that was given");
  } else {  // not ordered with the legacy default stream, which others in this process may use
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
}

// On a lost device all of these calls fail, and there is nothing left to give back.
CudaDevice::~CudaDevice() {
  if (cudaSetDevice(ordinal) == cudaSuccess) {
    drop_workspaces();
    cudaStreamSynchronize(stream_);
    if (owns_stream_) cudaStreamDestroy(stream_);
    cudaMemPoolDestroy(pool_);
    cudaFreeHost(value_report_);
  }
  cudaGetLastError();
}

void CudaDevice::make_current(const char* what) {
  require_present();
  check(cudaSetDevice(ordinal), what);
}

void CudaDevice::check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky must not be found again by the next launch
  const lk_status status = status_of(error);
  if (status == LK_DEVICE_LOST || status == LK_BACKEND_UNAVAILABLE) {
    lose(text_of(error) + ", reported by " + what + "; the cause may be an operation before it");
    require_present();
  }
  if (status == LK_OUT_OF_MEMORY) {
    fail(LK_OUT_OF_MEMORY, "out of memory: %s, free %lld bytes", what, static_cast<long long>(free_bytes()));
  }
  fail(status, "%s: %s", what, text_of(error).c_str());
}

void CudaDevice::query(lk_device_info& out) const {
  out.threads = properties_.multiProcessorCount;
  out.total_bytes = static_cast<int64_t>(properties_.totalGlobalMem);
  out.available_bytes = free_bytes();
  std::snprintf(out.name, sizeof out.name, "%.*s", static_cast<int>(sizeof out.name - 1), properties_.name);
  std::snprintf(out.reason, sizeof out.reason, "compute capability %d.%d, %s", properties_.major, properties_.minor,
                versions().c_str());
}

// Null where it does not fit, also after what the pool holds was given back.
void* CudaDevice::allocate_workspace(size_t bytes) {
  make_current("allocating memory");
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream_, &capture), "asking whether the stream is captured");
  if (capture != cudaStreamCaptureStatusNone) {
    fail(LK_UNSUPPORTED,
         "%zu bytes would have to be allocated while the stream is captured: run the same operations once before the "
         "capture, and allocate what they write",
         bytes);
  }
  void* memory = nullptr;
  const size_t size = std::max<size_t>(bytes, 1);
  cudaError_t error = cudaMallocFromPoolAsync(&memory, size, pool_, stream_);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    synchronize();  // what was freed in stream order is free now
    check(cudaMemPoolTrimTo(pool_, 0), "giving unused memory back");
    error = cudaMallocFromPoolAsync(&memory, size, pool_, stream_);
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(error, "allocating memory");
  return memory;
}

void* CudaDevice::allocate(size_t bytes) {
  void* memory = allocate_workspace(bytes);
  if (!memory) return nullptr;
  try {
    zero(memory, bytes);
  } catch (...) {
    release(memory);
    throw;
  }
  return memory;
}

void CudaDevice::release(void* memory) noexcept {
  if (lost() || cudaSetDevice(ordinal) != cudaSuccess || cudaFreeAsync(memory, stream_) != cudaSuccess) {
    cudaGetLastError();  // an error that matters comes back from the next operation
  }
}

int64_t CudaDevice::free_bytes() const {
  size_t available = 0, total = 0;
  if (lost() || cudaSetDevice(ordinal) != cudaSuccess || cudaMemGetInfo(&available, &total) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return static_cast<int64_t>(available);
}

void CudaDevice::zero(void* memory, size_t bytes) {
  if (bytes == 0) return;
  make_current("clearing memory");
  check(cudaMemsetAsync(memory, 0, bytes, stream_), "clearing memory");
}

void CudaDevice::copy(void* destination, const void* source, size_t bytes) {
  make_current("copying memory");
  // Default: the driver sees from the addresses where they are.
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDefault, stream_), "copying memory");
  wait("waiting for a copy");
}

void CudaDevice::copy_to_device(void* destination, const void* host_source, size_t bytes) {
  copy(destination, host_source, bytes);
}

void CudaDevice::copy_to_host(void* host_destination, const void* source, size_t bytes) {
  copy(host_destination, source, bytes);
}

void CudaDevice::synchronize() {
  make_current("waiting for the device");
  wait("waiting for the device");
}

void CudaDevice::wait(const char* what) {
  check(cudaStreamSynchronize(stream_), what);
  throw_reported(*value_report_);
}

std::unique_ptr<Device> open(int32_t ordinal, const uint64_t* stream) {
  require_device(ordinal);
  if (!stream) return std::make_unique<CudaDevice>(ordinal, nullptr);
  const cudaStream_t handle = reinterpret_cast<cudaStream_t>(static_cast<uintptr_t>(*stream));
  if (handle == cudaStreamPerThread) {
    fail(LK_INVALID_ARGUMENT,
         "stream must be one stream, but the per-thread default stream is another one in every thread; make a stream");
  }
  return std::make_unique<CudaDevice>(ordinal, &handle);
}

}  // namespace lk::cuda
