#include "common/adamw.h"
#include "cpu/adamw/state_map.h"
#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/adamw/update.inl"
#include "cpu/adamw/float_states.inl"
#include "cpu/adamw/codes_avx512.inl"
#include "cpu/adamw/block_states.inl"
#include "cpu/adamw/body.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_adamw_avx512(KernelTable& table) {
  table.adamw_step = avx512::adamw_step;
}

}  // namespace lk::cpu
