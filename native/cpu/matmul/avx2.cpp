// matmul and LoRA for AVX2 with FMA and F16C.
#include <array>

#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

// 6 x 16 sums in 12 of the 16 registers: 2 loads and 6 broadcasts for 12 multiply-adds.
constexpr int kTileRows = 6, kTileVectors = 2;
constexpr int kPanelSteps = 256;                      // a panel of 16 KiB stays in L1
constexpr int kBlockRows = 192, kBlockColumns = 128;  // sums and left operand, 288 KiB, stay in L2

#include "cpu/simd/philox_avx2.inl"

#include "cpu/simd/dropout.inl"
#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_avx2.inl"
#include "cpu/weight/decode.inl"

#include "cpu/matmul/rows.inl"

#include "cpu/matmul/transpose_avx2.inl"
#include "cpu/matmul/weights.inl"

#include "cpu/matmul/microkernel.inl"

#include "cpu/matmul/panel_avx2.inl"

#include "cpu/matmul/panel.inl"

#include "cpu/matmul/left.inl"

#include "cpu/matmul/gemm.inl"

#include "cpu/matmul/gemv.inl"
#include "cpu/matmul/gemv_avx2.inl"
#include "cpu/matmul/gemv_transposed.inl"
#include "cpu/matmul/gradient.inl"

template <typename F>
void with_product(const lk_weight&, int32_t, F&& f) {
  f(F32Product{});
}

template <typename F>
void with_decoder(const lk_weight& weight, int32_t, F&& f) {
  if (AlignedBlocks::is_aligned(weight)) return f(BlockDecoder(weight));
  f(GeneralDecoder(weight));
}

template <typename F>
void with_rows(const lk_weight& weight, F&& f) {
  f(GeneralRows(weight));
}

#include "cpu/matmul/operations.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_matmul_avx2(KernelTable& table) {
  table.matmul = avx2::matmul;
  table.matmul_transposed = avx2::matmul_transposed;
  table.lora_forward = avx2::lora_forward;
  table.lora_backward = avx2::lora_backward;
  table.transformer.weight_gradient = avx2::weight_gradient;
}

}  // namespace lk::cpu
