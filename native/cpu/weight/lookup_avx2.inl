// Nibbles to table entries with AVX2. See decode.inl for what the tables are.

// Up to one vector of elements, and what is left of a run.
template <typename T>
void lookup_each(const uint8_t* packed, int64_t element, int64_t count, const T* table, T* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = table[nibble_at(packed, element + i)];
}

// 8 elements = 4 bytes at a time: each lane shifts its own nibble down, two permutations look it up in the halves of
// the table, and bit 3 of the nibble chooses between them.
inline void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const float* table, float* out) {
  const int64_t head = std::min(count, element & 1);
  lookup_each(packed, element, head, table, out);
  const uint8_t* bytes = packed + ((element + head) >> 1);
  const __m256 low = _mm256_loadu_ps(table), high = _mm256_loadu_ps(table + 8);
  const __m256i shifts = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
  int64_t i = head;
  for (; i + 8 <= count; i += 8, bytes += 4) {
    int32_t word;
    std::memcpy(&word, bytes, sizeof word);
    const __m256i nibbles = _mm256_srlv_epi32(_mm256_set1_epi32(word), shifts);
    const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(nibbles, 28));
    const __m256 from_low = _mm256_permutevar8x32_ps(low, nibbles);
    const __m256 from_high = _mm256_permutevar8x32_ps(high, nibbles);
    _mm256_storeu_ps(out + i, _mm256_blendv_ps(from_low, from_high, bit3));
  }
  lookup_each(packed, element + i, count - i, table, out + i);
}

// 32 elements = 16 bytes at a time: the table is split into its low and its high bytes, each one byte shuffle.
inline void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const uint16_t* table, uint16_t* out) {
  const int64_t head = std::min(count, element & 1);
  lookup_each(packed, element, head, table, out);
  const uint8_t* bytes = packed + ((element + head) >> 1);
  const __m128i first_half = _mm_loadu_si128((const __m128i*)table);
  const __m128i second_half = _mm_loadu_si128((const __m128i*)(table + 8));
  const __m128i byte_mask = _mm_set1_epi16(0xff);
  const __m256i low = _mm256_broadcastsi128_si256(
      _mm_packus_epi16(_mm_and_si128(first_half, byte_mask), _mm_and_si128(second_half, byte_mask)));
  const __m256i high =
      _mm256_broadcastsi128_si256(_mm_packus_epi16(_mm_srli_epi16(first_half, 8), _mm_srli_epi16(second_half, 8)));
  const __m128i nibble_mask = _mm_set1_epi8(15);
  int64_t i = head;
  for (; i + 32 <= count; i += 32, bytes += 16) {
    const __m128i pairs = _mm_loadu_si128((const __m128i*)bytes);
    const __m128i even = _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble_mask);
    const __m128i odd = _mm_and_si128(pairs, nibble_mask);
    // Lane 0: elements 0 ... 15, lane 1: elements 16 ... 31.
    const __m256i index = _mm256_set_m128i(_mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd));
    const __m256i low_bytes = _mm256_shuffle_epi8(low, index), high_bytes = _mm256_shuffle_epi8(high, index);
    const __m256i first = _mm256_unpacklo_epi8(low_bytes, high_bytes);   // elements 0 ... 7 and 16 ... 23
    const __m256i second = _mm256_unpackhi_epi8(low_bytes, high_bytes);  // elements 8 ... 15 and 24 ... 31
    _mm256_storeu_si256((__m256i*)(out + i), _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((__m256i*)(out + i + 16), _mm256_permute2x128_si256(first, second, 0x31));
  }
  lookup_each(packed, element + i, count - i, table, out + i);
}
