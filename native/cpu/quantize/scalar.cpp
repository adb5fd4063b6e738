#include "cpu/quantize/double_quantize.h"
#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_scalar.inl"
#include "cpu/weight/decode.inl"
#include "cpu/quantize/search.inl"
#include "cpu/quantize/encode_scalar.inl"
#include "cpu/quantize/blocks.inl"
#include "cpu/quantize/pieces.inl"
#include "cpu/quantize/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_quantize_scalar(KernelTable& table) {
  table.quantize = scalar::quantize;
  table.dequantize = scalar::dequantize;
}

}  // namespace lk::cpu
