#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/simd/math.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/glu/activations.inl"
#include "cpu/glu/body.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_glu_avx512(KernelTable& table) {
  table.transformer.glu = avx512::glu;
  table.transformer.glu_backward = avx512::glu_backward;
}

}  // namespace lk::cpu
