// codes_scalar.inl with 16 lanes; state_map.h has the arithmetic of codes.

// Rows and columns of a 4 x 4 matrix of dwords change places: the order in which unpacking and packing within lanes of 128
// bits leave 64 bytes. Its own inverse.
inline __m512i transpose_dwords(__m512i v) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}

// Byte b of the values of 64 codes; upper: those of 128 and more.
inline __m512i look_up_plane(const uint8_t* plane, __m512i codes, __mmask64 upper) {
  const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(plane), codes, _mm512_load_si512(plane + 64));
  const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(plane + 128), codes, _mm512_load_si512(plane + 192));
  return _mm512_mask_blend_epi8(upper, low, high);
}

inline void decode_block(const StateMap& map, const uint8_t* codes, float absmax, float* out) {
  const __m512 scale = _mm512_set1_ps(absmax);
#pragma GCC unroll 4
  for (int i = 0; i < LK_STATE_BLOCK; i += 64) {
    const __m512i index = transpose_dwords(_mm512_loadu_si512(codes + i));
    const __mmask64 upper = _mm512_movepi8_mask(index);
    const __m512i b0 = look_up_plane(map.planes[0], index, upper), b1 = look_up_plane(map.planes[1], index, upper);
    const __m512i b2 = look_up_plane(map.planes[2], index, upper), b3 = look_up_plane(map.planes[3], index, upper);
    const __m512i low01 = _mm512_unpacklo_epi8(b0, b1), high01 = _mm512_unpackhi_epi8(b0, b1);
    const __m512i low23 = _mm512_unpacklo_epi8(b2, b3), high23 = _mm512_unpackhi_epi8(b2, b3);
    const auto store = [&](int vector, __m512i bits) {
      _mm512_storeu_ps(out + i + 16 * vector, _mm512_mul_ps(_mm512_castsi512_ps(bits), scale));
    };
    store(0, _mm512_unpacklo_epi16(low01, low23));
    store(1, _mm512_unpackhi_epi16(low01, low23));
    store(2, _mm512_unpacklo_epi16(high01, high23));
    store(3, _mm512_unpackhi_epi16(high01, high23));
  }
}

// Indices of 16 values in [-1, 1] (kSigned) or [0, 1], with their signs.
template <bool kSigned>
inline __m512i code_indices(const StateMap& map, __m512 x) {
  const __m512 shifted = _mm512_mul_ps(_mm512_add_ps(x, _mm512_set1_ps(1.0f)), _mm512_set1_ps(32767.5f));
  const __m512 bin =
      _mm512_roundscale_ps(_mm512_add_ps(shifted, _mm512_set1_ps(0.5f)), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  const __m512 d = _mm512_sub_ps(bin, _mm512_set1_ps(32767.5f));
  const __m512 distance = kSigned ? _mm512_abs_ps(d) : d;
  // lookups by exponent take the low 4 bits of their index
  const __m512i exponent = _mm512_srli_epi32(_mm512_castps_si512(distance), 23);
  const __m512 border = _mm512_permutexvar_ps(exponent, _mm512_load_ps(map.borders));
  __m512i segment = _mm512_permutexvar_epi32(exponent, _mm512_load_si512(map.first_segments));
  const __mmask16 above = _mm512_cmp_ps_mask(distance, border, _CMP_GT_OQ);
  segment = _mm512_mask_add_epi32(segment, above, segment, _mm512_set1_epi32(1));
  const auto of_segment = [segment](const float* table) {
    return _mm512_permutexvar_ps(segment, _mm512_load_ps(table));
  };
  const __m512 line = _mm512_fmadd_ps(distance, of_segment(map.slopes), of_segment(map.offsets));
  const __m512 index = _mm512_min_ps(line, of_segment(map.lasts));
  if (!kSigned) return _mm512_cvtps_epi32(index);
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(d), _mm512_set1_epi32(INT32_MIN));
  return _mm512_cvtps_epi32(_mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(index), sign)));
}

template <bool kSigned>
inline void encode_block(const StateMap& map, const float* values, float reciprocal, uint8_t* codes) {
  const __m512 scale = _mm512_set1_ps(reciprocal);
  for (int i = 0; i < LK_STATE_BLOCK; i += 64) {
    __m512i index[4];
#pragma GCC unroll 4
    for (int vector = 0; vector < 4; ++vector) {
      index[vector] = code_indices<kSigned>(map, _mm512_mul_ps(_mm512_loadu_ps(values + i + 16 * vector), scale));
    }
    __m512i low = _mm512_packs_epi32(index[0], index[1]), high = _mm512_packs_epi32(index[2], index[3]);
    if (kSigned) {  // the mirror of 1, which the map lacks, is saturated to code 0
      low = _mm512_add_epi16(low, _mm512_set1_epi16(127));
      high = _mm512_add_epi16(high, _mm512_set1_epi16(127));
    }
    _mm512_storeu_si512(codes + i, transpose_dwords(_mm512_packus_epi16(low, high)));
  }
}
