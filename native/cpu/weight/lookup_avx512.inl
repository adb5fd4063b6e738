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

// The same for a run that starts at the low nibble (kOdd) or the high one of its first byte, from bytes 0 ... 7 in the
// lower four quadwords and bytes 4 ... 11 in the upper four.
template <bool kOdd>
__m512i spread_halves(__m512i halves) {
  const __m512i shifts = kOdd ? _mm512_setr_epi32(0, 12, 8, 20, 16, 28, 24, 36, 0, 12, 8, 20, 16, 28, 24, 36)
                              : _mm512_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24, 4, 0, 12, 8, 20, 16, 28, 24);
  return _mm512_multishift_epi64_epi8(shifts, halves);
}

// 16 elements at a time, one permutation of the table.
template <bool kOdd>
void lookup_vectors(const uint8_t* bytes, int64_t count, __m512 entries, float* out) {
  int64_t i = 0;
  // 12 bytes are read: up to the end of 23 elements.
  for (; i + 24 <= count; i += 16, bytes += 8) {
    uint64_t low, high;
    std::memcpy(&low, bytes, sizeof low);
    std::memcpy(&high, bytes + 4, sizeof high);
    const __m512i halves =
        _mm512_mask_set1_epi64(_mm512_set1_epi64(static_cast<long long>(low)), 0xF0, static_cast<long long>(high));
    _mm512_storeu_ps(out + i, _mm512_permutexvar_ps(spread_halves<kOdd>(halves), entries));
  }
  const __m512i to_halves =
      _mm512_setr_epi64(0x0706050403020100, 0x0706050403020100, 0x0706050403020100, 0x0706050403020100,
                        0x0B0A090807060504, 0x0B0A090807060504, 0x0B0A090807060504, 0x0B0A090807060504);
  for (; i < count; i += 16, bytes += 8) {
    const int rest = static_cast<int>(std::min<int64_t>(16, count - i));
    const __mmask16 present = static_cast<__mmask16>((1u << ((rest + (kOdd ? 2 : 1)) / 2)) - 1u);
    const __m512i halves =
        _mm512_permutexvar_epi8(to_halves, _mm512_castsi128_si512(_mm_maskz_loadu_epi8(present, bytes)));
    Simd::store_partial(out + i, _mm512_permutexvar_ps(spread_halves<kOdd>(halves), entries), rest);
  }
}

inline void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const float* table, float* out) {
  const __m512 entries = _mm512_loadu_ps(table);
  const uint8_t* bytes = packed + (element >> 1);
  if (element & 1) {
    lookup_vectors<true>(bytes, count, entries, out);
  } else {
    lookup_vectors<false>(bytes, count, entries, out);
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
