#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/reduce/columns.inl"
#include "cpu/norm/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_norm_avx2(KernelTable& table) {
  table.transformer.rms_norm = avx2::rms_norm;
  table.transformer.rms_norm_backward = avx2::rms_norm_backward;
}

}  // namespace lk::cpu
