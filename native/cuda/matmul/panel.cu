// What brings the operands of gemm16.cu into 16 bits: a panel of a 4-bit weight, dequantised in one pass, and matrices of F32
// as sums of BF16 parts.
#include "cuda/launch.cuh"
#include "cuda/matmul/gemm16.h"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;

struct PanelArguments {
  FourBitMatrix weight;
  int64_t row, col;            // of the weight, where the panel begins
  int64_t rows, cols, stride;  // of out
  bool words;                  // eight nibbles lie in one aligned word
  uint16_t* out;
};

struct PanelMemory {
  float code[16];
};

template <typename Element>
__global__ void __launch_bounds__(kThreads) panel_decode(const __grid_constant__ PanelArguments p) {
  float* code = reinterpret_cast<PanelMemory*>(LK_SHARED_MEMORY())->code;
  if (threadIdx.x < 16) code[threadIdx.x] = p.weight.book.value[threadIdx.x];
  __syncthreads();
  const int64_t across = (p.cols + kRun - 1) / kRun, runs = p.rows * across;
  for (int64_t run = int64_t{blockIdx.x} * kThreads + threadIdx.x; run < runs; run += int64_t{gridDim.x} * kThreads) {
    const int64_t r = run / across, c = run % across * kRun;
    float values[kRun];
    const int64_t element = (p.row + r) * p.weight.cols + p.col + c;
    if (p.words && p.cols - c >= kRun) {
      const uint32_t word = *reinterpret_cast<const uint32_t*>(p.weight.packed + element / 2);
      const float scale = p.weight.scales[element >> p.weight.block_shift];
#pragma unroll
      for (int i = 0; i < kRun; ++i) values[i] = __fmul_rn(code[nibble_of(word, i)], scale);
    } else {
      p.weight.load<kRun>(p.row + r, p.col + c, p.cols - c, code, values);
    }
    store_floats<kRun>(reinterpret_cast<Element*>(p.out) + r * p.stride + c, p.cols - c, values);
  }
}

struct SplitArguments {
  AnyMatrix source;
  int64_t rows, cols;  // of the source
  int64_t depth;       // where part i begins: i * depth, along depth
  int64_t stride;      // of out
  int32_t parts;
  bool right, depth_rows;
  Bf16* out;
};

__global__ void __launch_bounds__(kThreads) parts_split(const __grid_constant__ SplitArguments p) {
  const int64_t elements = p.rows * p.cols;
  for (int64_t e = int64_t{blockIdx.x} * kThreads + threadIdx.x; e < elements; e += int64_t{gridDim.x} * kThreads) {
    const int64_t r = e / p.cols, c = e % p.cols;
    float value[1];
    p.source.load<1>(r, c, 1, value);
    const Bf16 high = from_float<Bf16>(value[0]);
    const float rest = value[0] - to_float(high);
    const Bf16 low = from_float<Bf16>(rest == rest ? rest : 0.0f);  // of an infinity nothing is left
    for (int i = 0; i < p.parts; ++i) {
      const int64_t at = p.depth_rows ? (r + i * p.depth) * p.stride + c : r * p.stride + c + i * p.depth;
      p.out[at] = i == (p.right ? 2 : 1) ? low : high;
    }
  }
}

}  // namespace

void decode_panel(CudaDevice& device, const lk_weight& weight, int64_t row, int64_t col, const lk_tensor& out) {
  const PanelArguments arguments{FourBitMatrix(weight),
                                 row,
                                 col,
                                 out.rows,
                                 out.cols,
                                 out.row_stride,
                                 weight.data % 4 == 0 && weight.cols % kRun == 0 && col % kRun == 0,
                                 at_address<uint16_t>(out.data)};
  const dim3 grid(grid_stride_blocks(device, out.rows * ceil_div(out.cols, kRun), kThreads));
  if (out.dtype == LK_F16) {
    launch(device, panel_decode<F16>, grid, dim3(kThreads), sizeof(PanelMemory), arguments);
  } else {
    launch(device, panel_decode<Bf16>, grid, dim3(kThreads), sizeof(PanelMemory), arguments);
  }
}

int32_t split_parts(int32_t right_dtype) {
  return right_dtype == LK_BF16 ? 2 : 3;
}

void split_matrix(CudaDevice& device, const lk_tensor& source, bool right, int32_t parts, bool depth_rows,
                  const lk_tensor& out) {
  const SplitArguments arguments{AnyMatrix(source),
                                 source.rows,
                                 source.cols,
                                 depth_rows ? source.rows : source.cols,
                                 out.row_stride,
                                 parts,
                                 right,
                                 depth_rows,
                                 at_address<Bf16>(out.data)};
  const dim3 grid(grid_stride_blocks(device, source.rows * source.cols, kThreads));
  launch(device, parts_split, grid, dim3(kThreads), 0, arguments);
}

}  // namespace lk::cuda
