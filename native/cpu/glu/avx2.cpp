#include "cpu/simd/target.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

#include "cpu/simd/avx2.h"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/simd/math.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/glu/activations.inl"
#include "cpu/glu/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_glu_avx2(KernelTable& table) {
  table.transformer.glu = avx2::glu;
  table.transformer.glu_backward = avx2::glu_backward;
}

}  // namespace lk::cpu
