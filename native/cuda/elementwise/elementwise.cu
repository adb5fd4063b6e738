// out = factor * x: one thread an element, in strides of the grid.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "common/format4.h"
#include "cuda/backend.h"
#include "cuda/launch.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ float widen(float v) {
  return v;
}
__device__ __forceinline__ float widen(__nv_bfloat16 v) {
  return __bfloat162float(v);
}
__device__ __forceinline__ float widen(__half v) {
  return __half2float(v);
}
__device__ __forceinline__ void store(float* to, float v) {
  *to = v;
}
__device__ __forceinline__ void store(__nv_bfloat16* to, float v) {
  *to = __float2bfloat16_rn(v);
}
__device__ __forceinline__ void store(__half* to, float v) {
  *to = __float2half_rn(v);
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    scale_kernel(const T* x, int64_t x_stride, float factor, T* out, int64_t out_stride, int64_t rows, int64_t cols) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * cols; i += step) {
    const int64_t row = i / cols, col = i % cols;
    store(out + row * out_stride + col, widen(x[row * x_stride + col]) * factor);
  }
}

template <typename T>
void scale_as(Device& device, const lk_tensor& x, float factor, const lk_tensor& out) {
  const unsigned blocks = grid_stride_blocks(cuda_device(device), x.rows * x.cols, kThreads);
  launch(device, scale_kernel<T>, dim3(blocks), dim3(kThreads), 0, at_address<const T>(x.data), x.row_stride, factor,
         at_address<T>(out.data), out.row_stride, x.rows, x.cols);
}

void scale(Device& device, const lk_tensor& x, float factor, const lk_tensor& out) {
  switch (out.dtype) {
    case LK_BF16:
      return scale_as<__nv_bfloat16>(device, x, factor, out);
    case LK_F16:
      return scale_as<__half>(device, x, factor, out);
    default:
      return scale_as<float>(device, x, factor, out);
  }
}

}  // namespace

void install_elementwise(KernelTable& table) {
  table.transformer.scale = scale;
}

}  // namespace lk::cuda
