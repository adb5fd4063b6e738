// Proves the whole path of a CUDA translation unit: nvcc, static cudart, a launch, a copy back. The runtime is linked
// statically and loads the driver itself, so the library loads where there is none (cudaGetDeviceCount then returns
// cudaErrorInsufficientDriver, 35).
#include <cuda_runtime.h>

#include "cuda/probe.h"

namespace lk::cuda {
namespace {

constexpr int kAnswer = 42;

__global__ void answer(int* out) {
  *out = kAnswer;
}

// Runs one kernel on device 0 and reads what it wrote.
cudaError_t run_answer(int& value) {
  int* out = nullptr;
  cudaError_t error = cudaMalloc(&out, sizeof *out);
  if (error != cudaSuccess) return error;
  answer<<<1, 1>>>(out);
  error = cudaGetLastError();
  if (error == cudaSuccess) error = cudaMemcpy(&value, out, sizeof value, cudaMemcpyDeviceToHost);
  const cudaError_t freed = cudaFree(out);
  return error == cudaSuccess ? freed : error;
}

}  // namespace

bool probe(std::string& found) {
  found = "built with CUDA " + std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    found += std::string("; no device: ") + (error != cudaSuccess ? cudaGetErrorString(error) : "none is visible");
    return false;
  }
  cudaDeviceProp properties;
  int value = 0;
  error = cudaGetDeviceProperties(&properties, 0);
  if (error == cudaSuccess) error = run_answer(value);
  if (error != cudaSuccess || value != kAnswer) {
    found += std::string("; device 0 does not run kernels: ") +
             (error != cudaSuccess ? cudaGetErrorString(error) : "a kernel gave a wrong answer");
    return false;
  }
  found += std::string("; device 0 is ") + properties.name;
  return true;
}

}  // namespace lk::cuda
