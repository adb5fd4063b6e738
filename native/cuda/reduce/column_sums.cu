#include "cuda/reduce/column_sums.cuh"

#include "cuda/convert.cuh"
#include "cuda/reduce/reduce.h"

namespace lk::cuda {
namespace {

__global__ void __launch_bounds__(kColumnThreads)
    add_column_parts_kernel(const float* partial, int64_t parts, int64_t cols, float* out) {
  const int64_t col = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (col >= cols) return;
  double sum = 0.0;
  for (int64_t part = 0; part < parts; ++part) sum += static_cast<double>(partial[part * cols + col]);
  out[col] = static_cast<float>(static_cast<double>(out[col]) + sum);
}

template <typename T>
struct Values {
  __device__ float add(float sum, int64_t row, int64_t col) const { return sum + to_float(*a.at(row, col)); }
  Matrix<const T> a;
};

template <typename T>
struct Products {
  __device__ float add(float sum, int64_t row, int64_t col) const {
    return fmaf(to_float(*a.at(row, col)), to_float(*b.at(row, col)), sum);
  }
  Matrix<const T> a, b;
};

}  // namespace

void add_column_parts(Device& device, const float* partial, int64_t parts, int64_t cols, float* out) {
  launch(device, add_column_parts_kernel, dim3(static_cast<unsigned>(ceil_div(cols, kColumnThreads))),
         dim3(kColumnThreads), 0, partial, parts, cols, out);
}

void column_sums(Device& device, const lk_tensor& a, const lk_tensor* b, const lk_tensor& out) {
  float* sums = at_address<float>(out.data);
  with_dtype(a.dtype, [&](auto element) {
    using T = decltype(element);
    if (b) {
      add_column_sums(device, Products<T>{Matrix<const T>(a), Matrix<const T>(*b)}, a.rows, a.cols, sums);
    } else {
      add_column_sums(device, Values<T>{Matrix<const T>(a)}, a.rows, a.cols, sums);
    }
  });
}

}  // namespace lk::cuda
