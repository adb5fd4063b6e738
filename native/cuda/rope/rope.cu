// Rotary embedding in place; lora_kernels_transformer.h has the formula. A block takes a token at a time: its lanes have
// neighbouring pairs of a head, its warps the heads.
#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/packs.cuh"
#include "cuda/values.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;

// sign: 1 rotates, -1 rotates back
template <typename T>
__global__ void __launch_bounds__(kThreads)
    rope_kernel(Matrix<T> x, int64_t rows, int64_t cols, int64_t half, const int32_t* positions,
                Matrix<const float> cos, Matrix<const float> sin, float sign, ValueCheck check) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int32_t position = positions[row];
    if (!check.test(row, position)) continue;
    for (int64_t head = warp_index() * 2 * half; head < cols; head += warp_count() * 2 * half) {
      for (int64_t i = lane_index(); i < half; i += kWarpLanes) {
        const float c = *cos.at(position, i), s = sign * *sin.at(position, i);
        T *first = x.at(row, head + i), *second = first + half;
        const float a = to_float(*first), b = to_float(*second);
        *first = from_float<T>(fmaf(-b, s, a * c));
        *second = from_float<T>(fmaf(a, s, b * c));
      }
    }
  }
}

void rope(Device& device, const lk_tensor& x, int64_t head_dim, const lk_tensor& position_ids, const lk_tensor& cos,
          const lk_tensor& sin, int32_t direction) {
  const ValueCheck check = check_values(device, "lk_rope", "position_ids", 0, cos.rows);
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    launch(device, rope_kernel<T>, row_blocks(x.rows), dim3(kThreads), 0, Matrix<T>(x), x.rows, x.cols, head_dim / 2,
           at_address<const int32_t>(position_ids.data), Matrix<const float>(cos), Matrix<const float>(sin),
           static_cast<float>(direction), check);
  });
}

}  // namespace

void install_rope(KernelTable& table) {
  table.transformer.rope = rope;
}

}  // namespace lk::cuda
