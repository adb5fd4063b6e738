// Attention for AVX2 with FMA and F16C.
#include <array>

#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

// 6 x 16 sums in 12 of the 16 registers: 2 loads and 6 broadcasts for 12 multiply-adds.
constexpr int kTileRows = 6, kTileVectors = 2;

#include "cpu/simd/io.inl"
#include "cpu/simd/math.inl"

#include "cpu/matmul/transpose_avx2.inl"

#include "cpu/attention/tile.inl"

#include "cpu/attention/heads.inl"

#include "cpu/attention/forward.inl"

#include "cpu/attention/backward.inl"

#include "cpu/attention/backward_tasks.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_attention_avx2(KernelTable& table) {
  table.transformer.attention_forward = avx2::attention_forward;
  table.transformer.attention_backward = avx2::attention_backward;
}

}  // namespace lk::cpu
