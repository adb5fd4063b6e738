// matmul and LoRA for AVX-512 with BF16: as avx512.cpp, and products of BF16 activations by vdpbf16ps.
#include <array>

#include "cpu/simd/target.h"

// Raised falsely by g++ 12 inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "cpu/simd/begin_avx512bf16.inl"

namespace lk::cpu::avx512bf16 {
namespace {

using avx512::Simd;

// 6 x 64 sums in 24 of the 32 registers: 4 loads and 6 broadcasts for 24 multiply-adds, and 64 columns are a block of
// a row.
constexpr int kTileRows = 6, kTileVectors = 4;
constexpr int kPanelSteps = 128;                      // a panel of 32 KiB stays in L1
constexpr int kBlockRows = 264, kBlockColumns = 128;  // sums and left operand, 264 KiB, stay in L2

#include "cpu/simd/philox_avx512.inl"

#include "cpu/simd/dropout.inl"
#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_avx512.inl"
#include "cpu/weight/decode.inl"

#include "cpu/matmul/rows.inl"

#include "cpu/matmul/transpose_avx512.inl"
#include "cpu/matmul/weights.inl"

#include "cpu/matmul/microkernel.inl"

#include "cpu/matmul/panel_avx512.inl"

#include "cpu/matmul/panel.inl"

#include "cpu/matmul/bf16_avx512.inl"

#include "cpu/matmul/left.inl"

#include "cpu/matmul/gemm.inl"

#include "cpu/matmul/gemv.inl"
#include "cpu/matmul/gemv_avx512.inl"
#include "cpu/matmul/gemv_bf16.inl"
#include "cpu/matmul/gemv_transposed.inl"
#include "cpu/matmul/gemv_transposed_avx512.inl"
#include "cpu/matmul/gradient.inl"

// A dense weight in F32 or F16 keeps its precision.
template <typename F>
void with_product(const lk_weight& weight, int32_t dtype, F&& f) {
  if (dtype == LK_BF16 && (is_4bit(weight) || weight.dtype == LK_BF16)) return f(Bf16Product{});
  f(F32Product{});
}

template <typename F>
void with_decoder(const lk_weight& weight, int32_t dtype, F&& f) {
  if (!AlignedBlocks::is_aligned(weight)) return f(GeneralDecoder(weight));
  if (dtype == LK_BF16) return f(Bf16BlockDecoder(weight));
  f(BlockDecoder(weight));
}

template <typename F>
void with_rows(const lk_weight& weight, F&& f) {
  if (AlignedBlocks::is_aligned(weight)) return f(BlockRows(weight));
  f(GeneralRows(weight));
}

#include "cpu/matmul/operations.inl"

}  // namespace
}  // namespace lk::cpu::avx512bf16

#pragma GCC pop_options

namespace lk::cpu {

void install_matmul_avx512bf16(KernelTable& table) {
  table.matmul = avx512bf16::matmul;
  table.matmul_transposed = avx512bf16::matmul_transposed;
  table.lora_forward = avx512bf16::lora_forward;
  table.lora_backward = avx512bf16::lora_backward;
  table.transformer.weight_gradient = avx512bf16::weight_gradient;
}

}  // namespace lk::cpu
