// Rows of 4-bit weights with aligned blocks for gemv with BF16 x: the 16 codes of a block are scaled and rounded to
// BF16 once, a lookup of 32 words gives 32 weights. Bit 4 of an index is not cleared, so the table stands twice in its
// register.
//
// A packed group of x is 64 k: the even ones (the high nibbles), then the odd ones.

class Bf16BlockDecoder : public AlignedBlocks {
 public:
  using Element = uint16_t;
  static constexpr int kGroup = 64;
  static constexpr int kMaxRows = 8;

  using AlignedBlocks::AlignedBlocks;

  static void pack_group(const float* x, Element* packed) {
    for (int i = 0; i < 32; ++i) {
      packed[i] = float_to_bf16(x[2 * i]);
      packed[32 + i] = float_to_bf16(x[2 * i + 1]);
    }
  }

  template <int kRows>
  void multiply(int64_t row, int64_t begin, int64_t end, const Element* x, int64_t ahead, float* sums) const {
    const __m512 code_values = _mm512_loadu_ps(code());
    // Even and odd k, for few rows also of even and odd groups: chains of sums enough to hide their latency.
    constexpr int kChains = kRows <= 4 ? 2 : 1;
    __m512 sum[kChains][2][kRows] = {};
    for_each_scales(row, begin, end, [&](int64_t first, int64_t last, const float* scales) {
      // Sums that are reached through the capture would go to memory and back in every step.
      __m512 local[kChains][2][kRows];
      std::memcpy(local, sum, sizeof sum);
      const uint8_t* packed = at(row, first);
      for (int64_t k = first; k < last; k += 128, packed += 64) {
        prefetch_ahead(packed, ahead);
#pragma GCC unroll 2
        for (int g = 0; g < 2; ++g) {
          const int64_t group = k + 64 * g;
          if (group == last) break;
          const __m512 scaled = _mm512_mul_ps(code_values, _mm512_set1_ps(scale_in(scales, group - first)));
          const __m512i table = round_to_bf16(scaled, scaled);
          const __m512i words =
              _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + 32 * g)));
          const __m512i w_even = _mm512_permutexvar_epi16(_mm512_srli_epi16(words, 4), table);
          const __m512i w_odd = _mm512_permutexvar_epi16(words, table);
#pragma GCC unroll 8
          for (int m = 0; m < kRows; ++m) {
            const Element* values = x + group * kRows + m * kGroup;
            local[g % kChains][0][m] =
                Bf16Product::multiply_add(w_even, _mm512_loadu_si512(values), local[g % kChains][0][m]);
            local[g % kChains][1][m] =
                Bf16Product::multiply_add(w_odd, _mm512_loadu_si512(values + 32), local[g % kChains][1][m]);
          }
        }
      }
      std::memcpy(sum, local, sizeof sum);
    });
    for (int m = 0; m < kRows; ++m) {
      __m512 total = _mm512_add_ps(sum[0][0][m], sum[0][1][m]);
      if constexpr (kChains == 2) total = _mm512_add_ps(total, _mm512_add_ps(sum[1][0][m], sum[1][1][m]));
      sums[m] += _mm512_reduce_add_ps(total);
    }
  }
};
