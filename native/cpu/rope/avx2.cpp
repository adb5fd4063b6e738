#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/rope/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_rope_avx2(KernelTable& table) {
  table.transformer.rope = avx2::rope;
}

}  // namespace lk::cpu
