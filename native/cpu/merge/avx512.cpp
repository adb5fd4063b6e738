#include "cpu/quantize/double_quantize.h"
#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_avx512.inl"
#include "cpu/weight/decode.inl"
#include "cpu/quantize/search.inl"
#include "cpu/quantize/encode_avx512.inl"
#include "cpu/quantize/blocks.inl"
#include "cpu/quantize/pieces.inl"
#include "cpu/merge/body.inl"
#include "cpu/merge/row_norms.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_merge_avx512(KernelTable& table) {
  table.merge = avx512::merge;
  table.merge_quantized = avx512::merge_quantized;
  table.transformer.row_norms = avx512::row_norms;
}

}  // namespace lk::cpu
