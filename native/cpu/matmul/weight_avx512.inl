// Decoding 4-bit elements and transposing squares of F32, AVX-512.

// The 16 nibbles of 8 packed bytes, in element order, in the low 4 bits of 16 dwords (what stands above them is not
// cleared: a permutation of 16 entries does not look at it). Byte j holds element 2j in its high half: bit offsets 8j
// + 4 and 8j.
inline __m512i spread_nibbles(const uint8_t* packed) {
  const __m512i offsets = _mm512_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24, 36, 32, 44, 40, 52, 48, 60, 56);
  uint64_t bytes;
  std::memcpy(&bytes, packed, sizeof bytes);
  return _mm512_multishift_epi64_epi8(offsets, _mm512_set1_epi64(static_cast<long long>(bytes)));
}

// out[i] = code[nibble of flattened element `element + i`] * scale
inline void decode_run(const uint8_t* packed, int64_t element, int64_t count, const float* code, float scale,
                       float* out) {
  if (count > 0 && (element & 1)) {
    *out++ = code[nibble_at(packed, element++)] * scale;
    --count;
  }
  const uint8_t* p = packed + (element >> 1);
  const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(code), _mm512_set1_ps(scale));
  for (; count >= 16; count -= 16, p += 8, out += 16) {
    _mm512_storeu_ps(out, _mm512_permutexvar_ps(spread_nibbles(p), scaled));
  }
  if (count > 0) {
    uint8_t rest[8] = {};
    std::memcpy(rest, p, static_cast<size_t>(count + 1) / 2);
    Simd::store_partial(out, _mm512_permutexvar_ps(spread_nibbles(rest), scaled), static_cast<int>(count));
  }
}

// 16 x 16 dwords: in place, row i becomes column i.
inline void transpose_16x16(__m512i r[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {  // r[i + c]: in 128-bit lane L, column 4L + c of rows i ... i + 3
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i low_a = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x44),
                  high_a = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xEE);
    const __m512i low_b = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x44);
    const __m512i high_b = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xEE);
    t[c] = _mm512_shuffle_i32x4(low_a, low_b, 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(low_a, low_b, 0xDD);
    t[8 + c] = _mm512_shuffle_i32x4(high_a, high_b, 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(high_a, high_b, 0xDD);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

// out[i][j] = in[j][i] for 16 x 16 floats
inline void transpose_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(in + i * in_stride);
  transpose_16x16(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * out_stride, r[i]);
}
