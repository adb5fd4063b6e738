// RMS norm, forward and backward; lora_kernels_transformer.h has the formulas. A block takes a row at a time and reads it
// twice, the second time from the cache.
#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/packs.cuh"
#include "cuda/reduce/column_sums.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;
constexpr size_t kScratch = kThreads / kWarpLanes * sizeof(float);

// weight + offset, [1, cols]
struct NormWeight {
  NormWeight(const lk_tensor& weight, float weight_offset) : values(weight), offset(weight_offset) {}

  __device__ __forceinline__ void load(int64_t col, int64_t count, float (&to)[kPack]) const {
    values.load<kPack>(0, col, count, to);
#pragma unroll
    for (int i = 0; i < kPack; ++i) to[i] += offset;
  }

  AnyMatrix values;
  float offset;
};

// body(col, count) for the packs of a row that are this thread's.
template <typename Body>
__device__ __forceinline__ void for_each_pack_of_row(int64_t cols, const Body& body) {
  for (int64_t col = int64_t{threadIdx.x} * kPack; col < cols; col += kThreads * kPack) body(col, cols - col);
}

// inverse_rms: null where not wanted
template <typename T>
__global__ void __launch_bounds__(kThreads)
    rms_norm_kernel(Matrix<const T> x, NormWeight weight, float epsilon, Matrix<T> y, float* inverse_rms, int64_t rows,
                    int64_t cols) {
  auto* scratch = reinterpret_cast<float*>(LK_SHARED_MEMORY());
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    float squares = 0.0f;
    for_each_pack_of_row(cols, [&](int64_t col, int64_t count) {
      float v[kPack];
      load_floats<kPack>(x.at(row, col), count, v);
#pragma unroll
      for (int i = 0; i < kPack; ++i) squares = fmaf(v[i], v[i], squares);
    });
    squares = block_reduce(squares, Add{}, scratch);
    const float inverse = 1.0f / sqrtf(squares / static_cast<float>(cols) + epsilon);
    for_each_pack_of_row(cols, [&](int64_t col, int64_t count) {
      float v[kPack], w[kPack];
      load_floats<kPack>(x.at(row, col), count, v);
      weight.load(col, count, w);
#pragma unroll
      for (int i = 0; i < kPack; ++i) v[i] = v[i] * inverse * w[i];
      store_floats<kPack>(y.at(row, col), count, v);
    });
    if (inverse_rms && threadIdx.x == 0) inverse_rms[row] = inverse;
  }
}

// With h = x * inverse_rms and g = dy * weight: dx = inverse_rms * (g - h * mean(g * h)), added to dx where `accumulate`.
// dx may be dy.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    rms_norm_dx_kernel(Matrix<const T> x, Matrix<const T> dy, NormWeight weight, const float* inverse_rms,
                       bool accumulate, Matrix<T> dx, int64_t rows, int64_t cols) {
  auto* scratch = reinterpret_cast<float*>(LK_SHARED_MEMORY());
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float inverse = inverse_rms[row];
    float sum = 0.0f;
    for_each_pack_of_row(cols, [&](int64_t col, int64_t count) {
      float h[kPack], g[kPack], w[kPack];
      load_floats<kPack>(x.at(row, col), count, h);
      load_floats<kPack>(dy.at(row, col), count, g);
      weight.load(col, count, w);
#pragma unroll
      for (int i = 0; i < kPack; ++i) sum = fmaf(g[i] * w[i], h[i] * inverse, sum);
    });
    const float mean = block_reduce(sum, Add{}, scratch) / static_cast<float>(cols);
    for_each_pack_of_row(cols, [&](int64_t col, int64_t count) {
      float h[kPack], g[kPack], w[kPack], before[kPack] = {};
      load_floats<kPack>(x.at(row, col), count, h);
      load_floats<kPack>(dy.at(row, col), count, g);
      weight.load(col, count, w);
      if (accumulate) load_floats<kPack>(dx.at(row, col), count, before);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        const float result = inverse * (g[i] * w[i] - h[i] * inverse * mean);
        g[i] = accumulate ? before[i] + result : result;
      }
      store_floats<kPack>(dx.at(row, col), count, g);
    });
  }
}

// dy * x * inverse_rms: what dweight sums up.
template <typename T>
struct WeightTerms {
  __device__ float add(float sum, int64_t row, int64_t col) const {
    return fmaf(to_float(*dy.at(row, col)), to_float(*x.at(row, col)) * inverse_rms[row], sum);
  }
  Matrix<const T> x, dy;
  const float* inverse_rms;
};

void rms_norm(Device& device, const lk_tensor& x, const lk_tensor& weight, float weight_offset, float epsilon,
              const lk_tensor& y, const lk_tensor* inverse_rms) {
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    launch(device, rms_norm_kernel<T>, row_blocks(x.rows), dim3(kThreads), kScratch, Matrix<const T>(x),
           NormWeight(weight, weight_offset), epsilon, Matrix<T>(y),
           inverse_rms ? at_address<float>(inverse_rms->data) : nullptr, x.rows, x.cols);
  });
}

void rms_norm_backward(Device& device, const lk_tensor& x, const lk_tensor& dy, const lk_tensor& weight,
                       float weight_offset, const lk_tensor& inverse_rms, bool accumulate, const lk_tensor* dx,
                       const lk_tensor* dweight) {
  const float* inverse = at_address<const float>(inverse_rms.data);
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    const Matrix<const T> x_values(x), dy_values(dy);
    if (dweight) {  // first: dx may overwrite dy
      add_column_sums(device, WeightTerms<T>{x_values, dy_values, inverse}, x.rows, x.cols,
                      at_address<float>(dweight->data));
    }
    if (dx) {
      launch(device, rms_norm_dx_kernel<T>, row_blocks(x.rows), dim3(kThreads), kScratch, x_values, dy_values,
             NormWeight(weight, weight_offset), inverse, accumulate, Matrix<T>(*dx), x.rows, x.cols);
    }
  });
}

}  // namespace

void install_norm(KernelTable& table) {
  table.transformer.rms_norm = rms_norm;
  table.transformer.rms_norm_backward = rms_norm_backward;
}

}  // namespace lk::cuda
