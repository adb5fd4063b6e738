// Attention for plain C++.
#include <array>

#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

// 4 x 8 sums: the 16 SSE registers of every x86-64 hold half of them and the operands.
constexpr int kTileRows = 4, kTileVectors = 2;

#include "cpu/simd/io.inl"
#include "cpu/simd/math.inl"

#include "cpu/matmul/transpose_scalar.inl"

#include "cpu/attention/tile.inl"

#include "cpu/attention/heads.inl"

#include "cpu/attention/forward.inl"

#include "cpu/attention/backward.inl"

#include "cpu/attention/backward_tasks.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_attention_scalar(KernelTable& table) {
  table.transformer.attention_forward = scalar::attention_forward;
  table.transformer.attention_backward = scalar::attention_backward;
}

}  // namespace lk::cpu
