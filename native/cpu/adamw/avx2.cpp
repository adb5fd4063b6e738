#include "cpu/simd/target.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

#include "cpu/simd/avx2.h"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/adamw/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_adamw_avx2(KernelTable& table) {
  table.adamw_step = avx2::adamw_step;
}

}  // namespace lk::cpu
