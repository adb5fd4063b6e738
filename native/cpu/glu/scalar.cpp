#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/simd/math.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/glu/activations.inl"
#include "cpu/glu/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_glu_scalar(KernelTable& table) {
  table.transformer.glu = scalar::glu;
  table.transformer.glu_backward = scalar::glu_backward;
}

}  // namespace lk::cpu
