#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/math.inl"

#include "cpu/cross_entropy/softmax.inl"

#include "cpu/cross_entropy/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_cross_entropy_avx2(KernelTable& table) {
  table.transformer.linear_cross_entropy = avx2::linear_cross_entropy;
}

}  // namespace lk::cpu
