// Quantising to 4 bits: one pass, each element read once. Limit: (sizeof(T) + 1/2 + 4 / block_size) bytes an element.
//
// A block of threads takes kTile elements, a multiple of every block size, so that no quantisation block and no byte
// belongs to two of them. A thread keeps 16 bytes of elements in registers between the search for the largest and the
// encoding; the threads of one quantisation block are neighbours:
//
//   block size 64, BF16:  | 8 threads: one absmax | 8 threads: one absmax | ...     largest by shuffles
//   block size 4096:      | all 512 threads: one absmax                        |     then over warps, by shared memory
#include "common/format4.h"
#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/convert.cuh"
#include "cuda/format4.cuh"
#include "cuda/launch.cuh"
#include "cuda/quantize/quantizer.h"

namespace lk::cuda {
namespace {

constexpr int kTile = kMaxBlockSize;
constexpr float kSmallest = 1e-38f;
constexpr uint32_t kInfinityBits = 0x7f800000u, kNanBits = 0x7fc00000u;

template <typename T>
constexpr int kThreads = kTile / kVectorElements<T>;

struct Shared {
  float tree[16];
  uint32_t largest[kThreads<float> / kWarpLanes];  // by warp
};

__device__ __forceinline__ float absmax_of(uint32_t bits) {
  return __uint_as_float(bits > kInfinityBits ? kNanBits : bits);
}

template <typename T>
__global__ void __launch_bounds__(kThreads<T>)
    quantize_kernel(const Matrix<T> source, int64_t cols, int64_t count, const __grid_constant__ CodeSearch search,
                    int block_shift, uint8_t* packed, float* absmax) {
  constexpr int kCount = kVectorElements<T>;
  Shared& shared = *reinterpret_cast<Shared*>(LK_SHARED_MEMORY());
  if (threadIdx.x < 16) shared.tree[threadIdx.x] = search.tree[threadIdx.x];

  const int64_t first = int64_t{blockIdx.x} * kTile + int64_t{threadIdx.x} * kCount;
  float x[kCount];
  load_flat(source, cols, first, count, x);

  // As unsigned integers: an order in which NaN is above infinity.
  uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) largest = max(largest, __float_as_uint(x[i]) & 0x7fffffffu);
  const int group = (1 << block_shift) / kCount;  // threads that share an absmax
  largest = warp_reduce(largest, Max{}, group < kWarpLanes ? group : kWarpLanes);
  if (lane_index() == 0) shared.largest[warp_index()] = largest;
  __syncthreads();
  if (group > kWarpLanes) {
    const int warps = group / kWarpLanes, first_warp = warp_index() / warps * warps;
    for (int i = 0; i < warps; ++i) largest = max(largest, shared.largest[first_warp + i]);
  }
  if (first >= count) return;

  const int64_t block = first >> block_shift;
  const bool full = (block + 1) << block_shift <= count;
  float scaled[kCount];
  float block_absmax;
  if (full) {
    block_absmax = absmax_of(largest);
    const float reciprocal = __frcp_rn(block_absmax < kSmallest ? kSmallest : block_absmax);
#pragma unroll
    for (int i = 0; i < kCount; ++i) scaled[i] = __fmul_rn(x[i], reciprocal);
  } else {
    block_absmax = absmax_of(max(largest, __float_as_uint(kSmallest)));
#pragma unroll
    for (int i = 0; i < kCount; ++i) scaled[i] = first + i < count ? __fdiv_rn(x[i], block_absmax) : 0.0f;
  }
  if ((first & ((int64_t{1} << block_shift) - 1)) == 0) absmax[block] = block_absmax;

  uint8_t bytes[kCount / 2];
#pragma unroll
  for (int i = 0; i < kCount; i += 2) {
    const uint32_t high = search.nibble(scaled[i], shared.tree), low = search.nibble(scaled[i + 1], shared.tree);
    bytes[i / 2] = static_cast<uint8_t>(high << 4 | low);
  }
  store_elements(packed + first / 2, (count - first + 1) / 2, bytes);
}

void quantize(Device& device, const lk_tensor& source, lk_weight& out) {
  BlockQuantizer quantizer(device, out);
  quantizer.quantize(source, 0);
  quantizer.finish();
}

}  // namespace

BlockQuantizer::BlockQuantizer(Device& device, lk_weight& out)
    : device_(device), out_(out), absmax_(at_address<float>(out.absmax)) {
  if (out.absmax != 0) return;
  const int64_t blocks = block_count(out);
  held_.emplace(device, static_cast<size_t>(blocks + nested_scratch_floats(blocks)) * sizeof(float));
  absmax_ = reinterpret_cast<float*>(held_->data());
}

void BlockQuantizer::quantize(const lk_tensor& source, int64_t element) {
  const int block_shift = __builtin_ctz(static_cast<unsigned>(out_.block_size));
  const int64_t count = source.rows * source.cols;
  with_dtype(source.dtype, [&](auto type) {
    using T = decltype(type);
    launch(device_, quantize_kernel<T>, dim3(static_cast<unsigned>(ceil_div(count, kTile))), dim3(kThreads<T>),
           sizeof(Shared), Matrix<T>(source), source.cols, count, CodeSearch(out_.format), block_shift,
           at_address<uint8_t>(out_.data) + element / 2, absmax_ + (element >> block_shift));
  });
}

void BlockQuantizer::finish() {
  if (held_) double_quantize(device_, absmax_, block_count(out_), out_);
}

void install_quantize(KernelTable& table) {
  table.quantize = quantize;
  table.dequantize = dequantize;
}

}  // namespace lk::cuda
