// Rows of 4-bit weights with aligned blocks for gemv with BF16 x: the 16 codes of a block are scaled and rounded to
// BF16 once, a lookup of 32 words gives 32 weights. Bit 4 of an index is not cleared, so the table stands twice in its
// register.
//
// A packed group of x is 64 k: the even ones (the high nibbles), then the odd ones.

class Bf16BlockDecoder : public AlignedBlocks {
 public:
  using Element = uint16_t;
  static constexpr int kGroup = 64;

  using AlignedBlocks::AlignedBlocks;

  static void pack_group(const float* x, Element* packed) {
    for (int i = 0; i < 32; ++i) {
      packed[i] = float_to_bf16(x[2 * i]);
      packed[32 + i] = float_to_bf16(x[2 * i + 1]);
    }
  }

  template <int kRows>
  void multiply(int64_t row, int64_t begin, int64_t end, const Element* x, int64_t x_stride, float* sums) const {
    const __m512 code_values = _mm512_loadu_ps(code());
    // Even and odd k, of even and odd groups: chains of sums enough to hide their latency.
    __m512 sum[2][2][kRows] = {};
    for_each_scales(row, begin, end, [&](int64_t first, int64_t last, const float* scales) {
      for (int64_t k = first; k < last; k += 128) {
        prefetch_stream(at(row, k));
#pragma GCC unroll 2
        for (int g = 0; g < 2; ++g) {
          const int64_t group = k + 64 * g;
          if (group == last) break;
          const __m512 scaled = _mm512_mul_ps(code_values, _mm512_set1_ps(scale_in(scales, group - first)));
          const __m512i table = round_to_bf16(scaled, scaled);
          const __m512i words =
              _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at(row, group))));
          const __m512i w_even = _mm512_permutexvar_epi16(_mm512_srli_epi16(words, 4), table);
          const __m512i w_odd = _mm512_permutexvar_epi16(words, table);
#pragma GCC unroll 4
          for (int m = 0; m < kRows; ++m) {
            const Element* values = x + m * x_stride + group;
            sum[g][0][m] = Bf16Product::multiply_add(w_even, _mm512_loadu_si512(values), sum[g][0][m]);
            sum[g][1][m] = Bf16Product::multiply_add(w_odd, _mm512_loadu_si512(values + 32), sum[g][1][m]);
          }
        }
      }
    });
    for (int m = 0; m < kRows; ++m) {
      sums[m] += _mm512_reduce_add_ps(
          _mm512_add_ps(_mm512_add_ps(sum[0][0][m], sum[0][1][m]), _mm512_add_ps(sum[1][0][m], sum[1][1][m])));
    }
  }
};
