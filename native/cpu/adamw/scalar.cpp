#include "common/adamw.h"
#include "cpu/adamw/state_map.h"
#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/adamw/update.inl"
#include "cpu/adamw/float_states.inl"
#include "cpu/adamw/codes_scalar.inl"
#include "cpu/adamw/block_states.inl"
#include "cpu/adamw/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_adamw_scalar(KernelTable& table) {
  table.adamw_step = scalar::adamw_step;
}

}  // namespace lk::cpu
