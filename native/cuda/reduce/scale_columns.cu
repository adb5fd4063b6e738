// out = x * factors + bias by columns, in one pass.
#include "cuda/packs.cuh"
#include "cuda/reduce/reduce.h"

namespace lk::cuda {
namespace {

// bias: [1, cols] of T or F32, or null in both
template <typename T>
__global__ void __launch_bounds__(kPackThreads)
    scale_columns_kernel(Matrix<const T> x, const float* factors, const T* bias, const float* f32_bias, Matrix<T> out,
                         Extent extent) {
  for_each_pack(extent.rows, extent.cols, [&](int64_t row, int64_t col, int64_t count) {
    float v[kPack], f[kPack], b[kPack] = {};
    load_floats<kPack>(x.at(row, col), count, v);
    load_floats<kPack>(factors + col, count, f);
    if (bias) load_floats<kPack>(bias + col, count, b);
    if (f32_bias) load_floats<kPack>(f32_bias + col, count, b);
#pragma unroll
    for (int i = 0; i < kPack; ++i) v[i] = fmaf(v[i], f[i], b[i]);
    store_floats<kPack>(out.at(row, col), count, v);
  });
}

}  // namespace

void scale_columns(Device& device, const lk_tensor& x, const lk_tensor& factors, const lk_tensor* bias,
                   const lk_tensor& out) {
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    const bool own = bias && bias->dtype == x.dtype;
    launch(device, scale_columns_kernel<T>, pack_blocks(device, x.rows, x.cols), dim3(kPackThreads), 0,
           Matrix<const T>(x), at_address<const float>(factors.data), own ? at_address<const T>(bias->data) : nullptr,
           bias && !own ? at_address<const float>(bias->data) : nullptr, Matrix<T>(out), Extent{x.rows, x.cols});
  });
}

}  // namespace lk::cuda
