// codes_scalar.inl with 8 lanes; state_map.h has the arithmetic of codes.

inline void decode_block(const StateMap& map, const uint8_t* codes, float absmax, float* out) {
  const __m256 scale = _mm256_set1_ps(absmax);
  for (int i = 0; i < LK_STATE_BLOCK; i += 8) {
    const __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(codes + i)));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_i32gather_ps(map.values, index, 4), scale));
  }
}

// Indices of 8 values in [-1, 1], with their signs.
inline __m256i code_indices(const StateMap& map, __m256 x) {
  const __m256 shifted = _mm256_mul_ps(_mm256_add_ps(x, _mm256_set1_ps(1.0f)), _mm256_set1_ps(32767.5f));
  const __m256 bin =
      _mm256_round_ps(_mm256_add_ps(shifted, _mm256_set1_ps(0.5f)), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  const __m256 d = _mm256_sub_ps(bin, _mm256_set1_ps(32767.5f));
  const __m256 sign = _mm256_and_ps(d, _mm256_set1_ps(-0.0f)), distance = _mm256_xor_ps(d, sign);
  __m256i segment = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int s = 1; s < StateMap::kSegments; ++s) {  // a comparison that is true is -1
    const __m256 above = _mm256_cmp_ps(distance, _mm256_set1_ps(map.starts[s]), _CMP_GT_OQ);
    segment = _mm256_sub_epi32(segment, _mm256_castps_si256(above));
  }
  const auto of_segment = [segment](const float* table) {
    return _mm256_permutevar8x32_ps(_mm256_load_ps(table), segment);
  };
  const __m256 line = _mm256_fmadd_ps(distance, of_segment(map.slopes), of_segment(map.offsets));
  return _mm256_cvtps_epi32(_mm256_or_ps(_mm256_min_ps(line, of_segment(map.lasts)), sign));
}

template <bool kSigned>
inline void encode_block(const StateMap& map, const float* values, float reciprocal, uint8_t* codes) {
  const __m256 scale = _mm256_set1_ps(reciprocal);
  const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int i = 0; i < LK_STATE_BLOCK; i += 32) {
    __m256i index[4];
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      index[part] = code_indices(map, _mm256_mul_ps(_mm256_loadu_ps(values + i + 8 * part), scale));
    }
    __m256i low = _mm256_packs_epi32(index[0], index[1]), high = _mm256_packs_epi32(index[2], index[3]);
    if (kSigned) {  // the mirror of 1, which the map lacks, is saturated to code 0
      low = _mm256_add_epi16(low, _mm256_set1_epi16(127));
      high = _mm256_add_epi16(high, _mm256_set1_epi16(127));
    }
    const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), in_order);
    _mm256_storeu_si256((__m256i*)(codes + i), packed);
  }
}
