// Dequantising: one pass. Limit: (1/2 + 4 / block_size + sizeof(T)) bytes an element, less the scales where they are
// double-quantised.
//
// A block of threads takes kTile elements, a multiple of every block size, forms each of their scales once, in shared
// memory, and then writes 16 bytes a thread at a time; the loads of all its bytes are on the way before the first one is
// decoded.
#include "common/format4.h"
#include "cuda/convert.cuh"
#include "cuda/format4.cuh"
#include "cuda/launch.cuh"
#include "cuda/quantize/quantizer.h"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kUnits = 4;  // of 16 bytes of output, a thread

template <typename T>
constexpr int kTile = kThreads* kUnits* kVectorElements<T>;

template <typename T>
struct Shared {
  float code[16];
  float scales[kTile<T> / kMinBlockSize];
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    dequantize_kernel(const __grid_constant__ FourBitMatrix weight, const Matrix<T> out, int64_t count) {
  constexpr int kCount = kVectorElements<T>;
  Shared<T>& shared = *reinterpret_cast<Shared<T>*>(LK_SHARED_MEMORY());
  const int64_t tile = int64_t{blockIdx.x} * kTile<T>;

  if (threadIdx.x < 16) shared.code[threadIdx.x] = weight.book.value[threadIdx.x];
  const int64_t first_block = tile >> weight.block_shift;
  const int blocks = kTile<T> >> weight.block_shift;
  for (int i = static_cast<int>(threadIdx.x); i < blocks && (first_block + i) << weight.block_shift < count;
       i += kThreads) {
    shared.scales[i] = weight.scales[first_block + i];
  }

  uint8_t bytes[kUnits][kCount / 2];
#pragma unroll
  for (int unit = 0; unit < kUnits; ++unit) {
    const int64_t first = tile + (unit * kThreads + static_cast<int>(threadIdx.x)) * kCount;
    load_elements(weight.packed + first / 2, (count - first + 1) / 2, bytes[unit]);
  }
  __syncthreads();
#pragma unroll
  for (int unit = 0; unit < kUnits; ++unit) {
    const int in_tile = (unit * kThreads + static_cast<int>(threadIdx.x)) * kCount;
    if (tile + in_tile >= count) return;
    const float scale = shared.scales[in_tile >> weight.block_shift];
    float values[kCount];
#pragma unroll
    for (int i = 0; i < kCount; i += 2) {
      values[i] = __fmul_rn(shared.code[bytes[unit][i / 2] >> 4], scale);
      values[i + 1] = __fmul_rn(shared.code[bytes[unit][i / 2] & 15u], scale);
    }
    store_flat(out, weight.cols, tile + in_tile, count, values);
  }
}

}  // namespace

void dequantize(Device& device, const lk_weight& weight, const lk_tensor& out) {
  if (!is_4bit(weight)) {
    device.kernels->convert(device,
                            lk_tensor{weight.data, weight.rows, weight.cols, weight.row_stride, weight.dtype, 0}, out);
    return;
  }
  const int64_t count = element_count(weight);
  with_dtype(out.dtype, [&](auto type) {
    using T = decltype(type);
    launch(device, dequantize_kernel<T>, dim3(static_cast<unsigned>(ceil_div(count, kTile<T>))), dim3(kThreads),
           sizeof(Shared<T>), FourBitMatrix(weight), Matrix<T>(out), count);
  });
}

}  // namespace lk::cuda
