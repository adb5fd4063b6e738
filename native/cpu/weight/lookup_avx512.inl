// Nibbles to table entries with AVX-512. See decode.inl for what the tables are.

// Brings the nibbles of eight packed bytes to the low bits of the 16 doublewords in order of the elements: the even
// element of a byte is its high nibble. What stands above bit 3 is ignored by the lookup.
inline __m512i spread_nibbles(const void* packed) {
  uint64_t bytes;
  std::memcpy(&bytes, packed, sizeof bytes);
  const __m512i shifts = _mm512_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24, 36, 32, 44, 40, 52, 48, 60, 56);
  // multishift takes a bit position for each byte; its controls are wanted in the lowest byte of a doubleword alone.
  return _mm512_multishift_epi64_epi8(shifts, _mm512_set1_epi64(static_cast<long long>(bytes)));
}

// 16 elements = 8 bytes at a time, one permutation of the table.
inline void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const float* table, float* out) {
  int64_t i = 0;
  if ((element & 1) && count > 0) out[i++] = table[packed[element >> 1] & 15];
  const uint8_t* bytes = packed + ((element + i) >> 1);
  const __m512 entries = _mm512_loadu_ps(table);
  for (; i + 16 <= count; i += 16, bytes += 8) {
    _mm512_storeu_ps(out + i, _mm512_permutexvar_ps(spread_nibbles(bytes), entries));
  }
  if (i < count) {
    const int rest = static_cast<int>(count - i);
    uint64_t last = 0;
    std::memcpy(&last, bytes, static_cast<size_t>(rest + 1) / 2);
    Simd::store_partial(out + i, _mm512_permutexvar_ps(spread_nibbles(&last), entries), rest);
  }
}

// 32 elements = 16 bytes at a time: the table stands twice in the register, so that only four bits of an index count.
inline void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const uint16_t* table, uint16_t* out) {
  int64_t i = 0;
  if ((element & 1) && count > 0) out[i++] = table[packed[element >> 1] & 15];
  const uint8_t* bytes = packed + ((element + i) >> 1);
  const __m512i entries = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)table));
  // Bytes are widened to doublewords; multishift then sets the two words of each from its bits 4 ... and 0 ... (the odd
  // doubleword of a quadword: 36 ... and 32 ...).
  const __m512i shifts = _mm512_set1_epi64(0x0020'0024'0000'0004);
  for (; i < count; i += 32, bytes += 16) {
    const bool whole = i + 32 <= count;
    const int rest = whole ? 32 : static_cast<int>(count - i);
    const __mmask16 present = static_cast<__mmask16>((1u << ((rest + 1) / 2)) - 1u);
    const __m128i pairs = whole ? _mm_loadu_si128((const __m128i*)bytes) : _mm_maskz_loadu_epi8(present, bytes);
    const __m512i index = _mm512_multishift_epi64_epi8(shifts, _mm512_cvtepu8_epi32(pairs));
    const __m512i values = _mm512_permutexvar_epi16(index, entries);
    if (whole) {
      _mm512_storeu_si512(out + i, values);
    } else {
      _mm512_mask_storeu_epi16(out + i, static_cast<__mmask32>((uint32_t{1} << rest) - 1u), values);
    }
  }
}
