#include "cpu/simd/target.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")

#include "cpu/simd/avx512.h"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/rope/body.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_rope_avx512(KernelTable& table) {
  table.transformer.rope = avx512::rope;
}

}  // namespace lk::cpu
