// Transposing squares of F32, AVX-512.

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
