// glu and its backward: one pass; lora_kernels_transformer.h has the formulas.
#include "cuda/backend.h"
#include "cuda/glu/activations.cuh"
#include "cuda/packs.cuh"

namespace lk::cuda {
namespace {

template <typename T>
__global__ void __launch_bounds__(kPackThreads)
    glu_kernel(int32_t activation, Matrix<const T> gate, Matrix<const T> up, Matrix<T> out, Extent extent) {
  for_each_pack(extent.rows, extent.cols, [&](int64_t row, int64_t col, int64_t count) {
    float g[kPack], u[kPack];
    load_floats<kPack>(gate.at(row, col), count, g);
    load_floats<kPack>(up.at(row, col), count, u);
#pragma unroll
    for (int i = 0; i < kPack; ++i) g[i] = activate(activation, g[i]).value * u[i];
    store_floats<kPack>(out.at(row, col), count, g);
  });
}

template <typename T>
__global__ void __launch_bounds__(kPackThreads)
    glu_backward_kernel(int32_t activation, Matrix<const T> gate, Matrix<const T> up, Matrix<const T> dout,
                        Matrix<T> dgate, Matrix<T> dup, Extent extent) {
  for_each_pack(extent.rows, extent.cols, [&](int64_t row, int64_t col, int64_t count) {
    float g[kPack], u[kPack], d[kPack];
    load_floats<kPack>(gate.at(row, col), count, g);
    load_floats<kPack>(up.at(row, col), count, u);
    load_floats<kPack>(dout.at(row, col), count, d);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const Activated a = activate(activation, g[i]);
      g[i] = d[i] * u[i] * a.slope;
      u[i] = d[i] * a.value;
    }
    store_floats<kPack>(dgate.at(row, col), count, g);
    store_floats<kPack>(dup.at(row, col), count, u);
  });
}

void glu(Device& device, int32_t activation, const lk_tensor& gate, const lk_tensor& up, const lk_tensor& out) {
  const Extent extent = longest_rows({&out, &gate, &up});
  with_dtype(out.dtype, [&](auto element) {
    using T = decltype(element);
    launch(device, glu_kernel<T>, pack_blocks(device, extent.rows, extent.cols), dim3(kPackThreads), 0, activation,
           Matrix<const T>(gate), Matrix<const T>(up), Matrix<T>(out), extent);
  });
}

void glu_backward(Device& device, int32_t activation, const lk_tensor& gate, const lk_tensor& up, const lk_tensor& dout,
                  const lk_tensor& dgate, const lk_tensor& dup) {
  const Extent extent = longest_rows({&gate, &up, &dout, &dgate, &dup});
  with_dtype(gate.dtype, [&](auto element) {
    using T = decltype(element);
    launch(device, glu_backward_kernel<T>, pack_blocks(device, extent.rows, extent.cols), dim3(kPackThreads), 0,
           activation, Matrix<const T>(gate), Matrix<const T>(up), Matrix<const T>(dout), Matrix<T>(dgate),
           Matrix<T>(dup), extent);
  });
}

}  // namespace

void install_glu(KernelTable& table) {
  table.transformer.glu = glu;
  table.transformer.glu_backward = glu_backward;
}

}  // namespace lk::cuda
