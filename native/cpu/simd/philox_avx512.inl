// Sixteen Philox groups (64 columns of a row) at once; see dropout.inl. Lane i holds the counter of group + i, so that after the
// rounds vector j holds word j of every group, and a 4 x 16 transposition puts the words in the order of the columns.

constexpr int kPhiloxGroups = 16;

// High and low halves of 32 x 32 bit products: the instruction multiplies even lanes, odd lanes are shifted down.
inline void philox_multiply(__m512i a, __m512i multiplier, __m512i& high, __m512i& low) {
  const __m512i even = _mm512_mul_epu32(a, multiplier);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), multiplier);
  high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
  low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}

inline __m512i all(uint32_t v) {
  return _mm512_set1_epi32(static_cast<int>(v));
}

inline void philox_factors(const DropoutMask& mask, int64_t row, int64_t group, float* factors) {
  const uint64_t r = static_cast<uint64_t>(row);
  __m512i c0 = _mm512_add_epi32(all(static_cast<uint32_t>(group)),
                                _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  __m512i c1 = all(static_cast<uint32_t>(r));
  __m512i c2 = all(static_cast<uint32_t>(mask.step));
  __m512i c3 = all(static_cast<uint32_t>(mask.step >> 32) ^ static_cast<uint32_t>(r >> 32));
  uint32_t k0 = static_cast<uint32_t>(mask.seed), k1 = static_cast<uint32_t>(mask.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    __m512i high0, low0, high1, low1;
    philox_multiply(c0, all(kPhiloxMultiplier0), high0, low0);
    philox_multiply(c2, all(kPhiloxMultiplier1), high1, low1);
    c0 = _mm512_xor_si512(_mm512_xor_si512(high1, c1), all(k0));
    c2 = _mm512_xor_si512(_mm512_xor_si512(high0, c3), all(k1));
    c1 = low1;
    c3 = low0;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  // 4 x 16 transposition: first inside each 128-bit lane (groups 4L ... 4L + 3), then the lanes into place.
  const __m512i a = _mm512_unpacklo_epi32(c0, c1), b = _mm512_unpackhi_epi32(c0, c1);
  const __m512i c = _mm512_unpacklo_epi32(c2, c3), d = _mm512_unpackhi_epi32(c2, c3);
  const __m512i g0 = _mm512_unpacklo_epi64(a, c), g1 = _mm512_unpackhi_epi64(a, c);  // lane L: group 4L, group 4L + 1
  const __m512i g2 = _mm512_unpacklo_epi64(b, d), g3 = _mm512_unpackhi_epi64(b, d);
  const __m512i p = _mm512_shuffle_i32x4(g0, g1, 0x44), q = _mm512_shuffle_i32x4(g2, g3, 0x44);  // lanes 0, 1 of each
  const __m512i s = _mm512_shuffle_i32x4(g0, g1, 0xEE), t = _mm512_shuffle_i32x4(g2, g3, 0xEE);  // lanes 2, 3 of each
  const __m512i words[4] = {_mm512_shuffle_i32x4(p, q, 0x88), _mm512_shuffle_i32x4(p, q, 0xDD),
                            _mm512_shuffle_i32x4(s, t, 0x88), _mm512_shuffle_i32x4(s, t, 0xDD)};
  for (int j = 0; j < 4; ++j) {
    const __mmask16 keep = _mm512_cmpge_epu32_mask(words[j], all(mask.threshold));
    _mm512_storeu_ps(factors + 16 * j, _mm512_maskz_mov_ps(keep, _mm512_set1_ps(mask.scale)));
  }
}
