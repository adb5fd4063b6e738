#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/reduce/columns.inl"
#include "cpu/norm/body.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_norm_avx512(KernelTable& table) {
  table.transformer.rms_norm = avx512::rms_norm;
  table.transformer.rms_norm_backward = avx512::rms_norm_backward;
}

}  // namespace lk::cpu
