#include "cpu/quantize/double_quantize.h"
#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_avx2.inl"
#include "cpu/weight/decode.inl"
#include "cpu/quantize/search.inl"
#include "cpu/quantize/encode_avx2.inl"
#include "cpu/quantize/blocks.inl"
#include "cpu/quantize/pieces.inl"
#include "cpu/merge/body.inl"
#include "cpu/merge/row_norms.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_merge_avx2(KernelTable& table) {
  table.merge = avx2::merge;
  table.merge_quantized = avx2::merge_quantized;
  table.transformer.row_norms = avx2::row_norms;
}

}  // namespace lk::cpu
