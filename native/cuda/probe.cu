#include "cuda/probe.h"

#include <cuda_runtime.h>

#include "common/error.h"
#include "cuda/backend.h"
#include "cuda/errors.h"

namespace lk::cuda {
namespace {

constexpr int kAnswer = 42;

__global__ void answer(int* out) {
  *out = kAnswer;
}

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

// What to do about an error that says why there is no GPU.
const char* advice(cudaError_t error) {
  switch (error) {
    case cudaErrorInsufficientDriver:
      return "install an NVIDIA driver that supports this version of CUDA, or a newer one";
    case cudaErrorNoDevice:
      return "the driver sees no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return "this library has no code for it: build with LK_CUDA_ARCHS set to its compute capability";
    case cudaErrorSystemDriverMismatch:
      return "the driver's library and its kernel module differ: restart the machine or the container";
    default:
      return status_of(error) == LK_DEVICE_LOST
                 ? "check nvidia-smi; if the GPU is well, an earlier error of this process cannot be undone: restart it"
                 : "check nvidia-smi";
  }
}

[[noreturn]] void unavailable(const std::string& what, cudaError_t error) {
  cudaGetLastError();
  fail(LK_BACKEND_UNAVAILABLE, "%s: %s (%s); %s", versions().c_str(), what.c_str(), text_of(error).c_str(),
       advice(error));
}

// Runs one kernel on the current device and reads what it wrote.
cudaError_t run_answer(int& value) {
  int* out = nullptr;
  cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&out), sizeof *out);
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(1);
  config.blockDim = dim3(1);
  error = cudaLaunchKernelEx(&config, answer, out);
  if (error == cudaSuccess) error = cudaMemcpy(&value, out, sizeof value, cudaMemcpyDeviceToHost);
  const cudaError_t freed = cudaFree(out);
  return error == cudaSuccess ? freed : error;
}

}  // namespace

std::string versions() {
  int driver = 0;
  const bool known = cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
  return "CUDA " + version(CUDART_VERSION) + ", " + (known ? "driver " + version(driver) : "no driver");
}

void require_device(int32_t ordinal) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
  if (error != cudaSuccess) unavailable("no device", error);
  if (ordinal < 0 || ordinal >= count) {
    fail(LK_BACKEND_UNAVAILABLE, "there are %d CUDA devices, numbered from 0, but %d was asked for", count, ordinal);
  }
  const std::string device = "device " + std::to_string(ordinal);
  cudaDeviceProp properties;
  error = cudaSetDevice(ordinal);
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, ordinal);
  if (error != cudaSuccess) unavailable(device + " does not answer", error);
  if (properties.major < kLeastMajor) {
    fail(LK_BACKEND_UNAVAILABLE,
         "%s is %s, compute capability %d.%d, but the kernels need %d.0 (Ampere) or newer; use the CPU device",
         device.c_str(), properties.name, properties.major, properties.minor, kLeastMajor);
  }
  int value = 0;
  error = run_answer(value);
  if (error != cudaSuccess) {
    unavailable(device + " (" + properties.name + ", compute capability " + std::to_string(properties.major) + "." +
                    std::to_string(properties.minor) + ") does not run kernels",
                error);
  }
  if (value != kAnswer) {
    fail(LK_BACKEND_UNAVAILABLE, "%s (%s) ran a kernel, but its answer was %d instead of %d; check nvidia-smi",
         device.c_str(), properties.name, value, kAnswer);
  }
}

std::string probe() {
  require_device(0);
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, 0);
  if (error != cudaSuccess) unavailable("device 0 does not answer", error);
  return versions() + ": device 0 is " + properties.name + ", compute capability " + std::to_string(properties.major) +
         "." + std::to_string(properties.minor);
}

}  // namespace lk::cuda
