// Eight Philox groups (32 columns of a row) at once; see dropout.inl and philox_avx512.inl, whose 8-lane twin this is.

constexpr int kPhiloxGroups = 8;

inline void philox_multiply(__m256i a, __m256i multiplier, __m256i& high, __m256i& low) {
  const __m256i even = _mm256_mul_epu32(a, multiplier);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), multiplier);
  high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

inline __m256i all(uint32_t v) {
  return _mm256_set1_epi32(static_cast<int>(v));
}

inline void philox_factors(const DropoutMask& mask, int64_t row, int64_t group, float* factors) {
  const uint64_t r = static_cast<uint64_t>(row);
  __m256i c0 = _mm256_add_epi32(all(static_cast<uint32_t>(group)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  __m256i c1 = all(static_cast<uint32_t>(r));
  __m256i c2 = all(static_cast<uint32_t>(mask.step));
  __m256i c3 = all(static_cast<uint32_t>(mask.step >> 32) ^ static_cast<uint32_t>(r >> 32));
  uint32_t k0 = static_cast<uint32_t>(mask.seed), k1 = static_cast<uint32_t>(mask.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    __m256i high0, low0, high1, low1;
    philox_multiply(c0, all(kPhiloxMultiplier0), high0, low0);
    philox_multiply(c2, all(kPhiloxMultiplier1), high1, low1);
    c0 = _mm256_xor_si256(_mm256_xor_si256(high1, c1), all(k0));
    c2 = _mm256_xor_si256(_mm256_xor_si256(high0, c3), all(k1));
    c1 = low1;
    c3 = low0;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  const __m256i a = _mm256_unpacklo_epi32(c0, c1), b = _mm256_unpackhi_epi32(c0, c1);
  const __m256i c = _mm256_unpacklo_epi32(c2, c3), d = _mm256_unpackhi_epi32(c2, c3);
  const __m256i g0 = _mm256_unpacklo_epi64(a, c), g1 = _mm256_unpackhi_epi64(a, c);  // lane L: group 4L, group 4L + 1
  const __m256i g2 = _mm256_unpacklo_epi64(b, d), g3 = _mm256_unpackhi_epi64(b, d);
  const __m256i words[4] = {_mm256_permute2x128_si256(g0, g1, 0x20), _mm256_permute2x128_si256(g2, g3, 0x20),
                            _mm256_permute2x128_si256(g0, g1, 0x31), _mm256_permute2x128_si256(g2, g3, 0x31)};
  for (int j = 0; j < 4; ++j) {
    const __m256i keep = _mm256_cmpeq_epi32(_mm256_max_epu32(words[j], all(mask.threshold)), words[j]);
    _mm256_storeu_ps(factors + 8 * j, _mm256_and_ps(_mm256_castsi256_ps(keep), _mm256_set1_ps(mask.scale)));
  }
}
