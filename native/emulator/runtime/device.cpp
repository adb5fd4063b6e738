// GPUs, streams and events. Work is done when it is given, so that streams and events only check their handles.
#include <chrono>
#include <cstdio>
#include <set>

#include "emulator/runtime/state.h"

using lk::emulator::machine;
using lk::emulator::result;

struct CUstream_st {
  unsigned flags;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point at;
  bool recorded = false;
};

namespace {

std::mutex mutex;
std::set<cudaStream_t> streams;
std::set<cudaEvent_t> events;
thread_local int chosen_device = 0;

bool device_exists(int ordinal) {
  return ordinal >= 0 && ordinal < machine().devices;
}

bool valid(cudaEvent_t event) {
  std::lock_guard<std::mutex> lock(mutex);
  return events.count(event) == 1;
}

constexpr size_t kSharedBytes = size_t{48} << 10, kSharedBytesOptIn = size_t{227} << 10;

}  // namespace

// The handles 1 and 2 are the legacy and the per-thread default stream.
bool lk::emulator::valid(cudaStream_t stream) {
  if (reinterpret_cast<uintptr_t>(stream) <= 2) return true;
  std::lock_guard<std::mutex> lock(mutex);
  return streams.count(stream) == 1;
}

void lk::emulator::drop_handles() {
  std::lock_guard<std::mutex> lock(mutex);
  for (const cudaStream_t stream : streams) delete stream;
  for (const cudaEvent_t event : events) delete event;
  streams.clear();
  events.clear();
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  LK_BEGIN_CALL(kDevices);
  if (machine().devices == 0) return result(cudaErrorNoDevice);
  *count = machine().devices;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* ordinal) {
  LK_BEGIN_CALL(kDevices);
  *ordinal = chosen_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int ordinal) {
  LK_BEGIN_CALL(kDevices);
  if (!device_exists(ordinal)) return result(cudaErrorInvalidDevice);
  chosen_device = ordinal;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal) {
  LK_BEGIN_CALL(kDevices);
  if (!device_exists(ordinal)) return result(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "cuda-emulated");
  properties->totalGlobalMem = machine().memory_bytes;
  properties->sharedMemPerBlock = kSharedBytes;
  properties->sharedMemPerBlockOptin = kSharedBytesOptIn;
  properties->sharedMemPerMultiprocessor = size_t{228} << 10;
  properties->major = machine().major;
  properties->minor = machine().minor;
  properties->multiProcessorCount = machine().multiprocessors;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->l2CacheSize = 50 << 20;
  properties->memoryBusWidth = 5120;
  properties->concurrentKernels = 1;
  properties->asyncEngineCount = 1;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 2147483647;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int ordinal) {
  LK_BEGIN_CALL(kDevices);
  if (!device_exists(ordinal)) return result(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = 1024;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = machine().multiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = machine().major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = machine().minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(kSharedBytesOptIn);
      return cudaSuccess;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      return cudaSuccess;
  }
  return result(cudaErrorInvalidValue);
}

// 0 where there is no driver, as CUDA says.
cudaError_t cudaDriverGetVersion(int* version) {
  *version = machine().driver ? CUDART_VERSION : 0;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  LK_BEGIN_CALL(kSynchronize);
  return cudaSuccess;
}

// ---- streams ---------------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  LK_BEGIN_CALL(kAny);
  if (flags > cudaStreamNonBlocking) return result(cudaErrorInvalidValue);
  *stream = new CUstream_st{flags};
  std::lock_guard<std::mutex> lock(mutex);
  streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  LK_BEGIN_CALL(kAny);
  std::lock_guard<std::mutex> lock(mutex);
  if (streams.erase(stream) == 0) return result(cudaErrorInvalidResourceHandle);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  LK_BEGIN_CALL(kSynchronize);
  return result(lk::emulator::valid(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  LK_BEGIN_CALL(kAny);
  return result(lk::emulator::valid(stream) && valid(event) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  LK_BEGIN_CALL(kAny);
  *status = cudaStreamCaptureStatusNone;
  return result(lk::emulator::valid(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

// ---- events ----------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  LK_BEGIN_CALL(kAny);
  *event = new CUevent_st;
  std::lock_guard<std::mutex> lock(mutex);
  events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  LK_BEGIN_CALL(kAny);
  std::lock_guard<std::mutex> lock(mutex);
  if (events.erase(event) == 0) return result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  LK_BEGIN_CALL(kAny);
  if (!lk::emulator::valid(stream) || !valid(event)) return result(cudaErrorInvalidResourceHandle);
  event->at = std::chrono::steady_clock::now();
  event->recorded = true;
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  LK_BEGIN_CALL(kSynchronize);
  return result(valid(event) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return cudaEventSynchronize(event);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  LK_BEGIN_CALL(kAny);
  if (!valid(begin) || !valid(end) || !begin->recorded || !end->recorded) return result(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - begin->at).count();
  return cudaSuccess;
}
