// Decoding 4-bit elements and transposing squares of F32, AVX2.

// A table of 16 floats in two registers.
struct Table16 {
  __m256 low, high;

  static Table16 scaled(const float* code, float scale) {
    const __m256 s = _mm256_set1_ps(scale);
    return {_mm256_mul_ps(_mm256_loadu_ps(code), s), _mm256_mul_ps(_mm256_loadu_ps(code + 8), s)};
  }
  // Entry (index >> shift) & 15 for each lane: three bits permute, the fourth chooses the half.
  template <int kShift>
  __m256 at(__m256i index) const {
    const __m256i shifted = kShift ? _mm256_srli_epi32(index, kShift) : index;
    const __m256 half = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28 - kShift));  // bit 3 in the place of the sign
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, shifted), _mm256_permutevar8x32_ps(high, shifted), half);
  }
};

// The 8 nibbles of 4 packed bytes, in element order, in the low 4 bits of 8 dwords. Byte j holds element 2j in its
// high half.
inline __m256i spread_nibbles(const uint8_t* packed) {
  int32_t bytes;
  std::memcpy(&bytes, packed, sizeof bytes);
  return _mm256_srlv_epi32(_mm256_set1_epi32(bytes), _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24));
}

// out[i] = code[nibble of flattened element `element + i`] * scale
inline void decode_run(const uint8_t* packed, int64_t element, int64_t count, const float* code, float scale,
                       float* out) {
  if (count > 0 && (element & 1)) {
    *out++ = code[nibble_at(packed, element++)] * scale;
    --count;
  }
  const uint8_t* p = packed + (element >> 1);
  const Table16 table = Table16::scaled(code, scale);
  for (; count >= 8; count -= 8, p += 4, out += 8) _mm256_storeu_ps(out, table.at<0>(spread_nibbles(p)));
  if (count > 0) {
    uint8_t rest[4] = {};
    std::memcpy(rest, p, static_cast<size_t>(count + 1) / 2);
    Simd::store_partial(out, table.at<0>(spread_nibbles(rest)), static_cast<int>(count));
  }
}

// 8 x 8 dwords: in place, row i becomes column i.
inline void transpose_8x8(__m256i r[8]) {
  __m256i t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {  // r[i + c]: in 128-bit lane L, column 4L + c of rows i ... i + 3
    r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm256_permute2x128_si256(r[c], r[4 + c], 0x20);
    t[4 + c] = _mm256_permute2x128_si256(r[c], r[4 + c], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

// out[i][j] = in[j][i] for 8 x 8 floats
inline void transpose_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m256i r[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i * in_stride));
  transpose_8x8(r);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i * out_stride), r[i]);
}
