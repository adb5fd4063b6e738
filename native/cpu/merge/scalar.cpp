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
#include "cpu/merge/body.inl"
#include "cpu/merge/row_norms.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_merge_scalar(KernelTable& table) {
  table.merge = scalar::merge;
  table.merge_quantized = scalar::merge_quantized;
  table.transformer.row_norms = scalar::row_norms;
}

}  // namespace lk::cpu
