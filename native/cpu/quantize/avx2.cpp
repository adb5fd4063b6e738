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
#include "cpu/quantize/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_quantize_avx2(KernelTable& table) {
  table.quantize = avx2::quantize;
  table.dequantize = avx2::dequantize;
}

}  // namespace lk::cpu
