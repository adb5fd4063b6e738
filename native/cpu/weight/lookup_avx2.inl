// Nibbles to table entries with AVX2. See decode.inl for what the tables are.

// A table of 16 floats in two registers.
struct Table16 {
  __m256 low, high;

  explicit Table16(const float* entries) : low(_mm256_loadu_ps(entries)), high(_mm256_loadu_ps(entries + 8)) {}
  Table16(const float* entries, float scale)
      : low(_mm256_mul_ps(_mm256_loadu_ps(entries), _mm256_set1_ps(scale))),
        high(_mm256_mul_ps(_mm256_loadu_ps(entries + 8), _mm256_set1_ps(scale))) {}

  // Entry (index >> kShift) & 15 for each lane: three bits permute in both halves, the fourth chooses the half.
  template <int kShift>
  __m256 at(__m256i index) const {
    const __m256i shifted = kShift ? _mm256_srli_epi32(index, kShift) : index;
    const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28 - kShift));  // in the place of the sign
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, shifted), _mm256_permutevar8x32_ps(high, shifted), bit3);
  }
};

// The 8 nibbles of 4 packed bytes, in order of the elements, in the low 4 bits of 8 doublewords (what stands above is
// ignored by the lookup).
inline __m256i spread_nibbles(const uint8_t* packed) {
  int32_t bytes;
  std::memcpy(&bytes, packed, sizeof bytes);
  return _mm256_srlv_epi32(_mm256_set1_epi32(bytes), _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24));
}

// Up to one vector of elements, and what is left of a run.
template <typename T>
void lookup_each(const uint8_t* packed, int64_t element, int64_t count, const T* table, T* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = table[nibble_at(packed, element + i)];
}

// 8 elements = 4 bytes at a time.
inline void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const float* table, float* out) {
  const int64_t head = std::min(count, element & 1);
  lookup_each(packed, element, head, table, out);
  const uint8_t* bytes = packed + ((element + head) >> 1);
  const Table16 entries(table);
  int64_t i = head;
  for (; i + 8 <= count; i += 8, bytes += 4) _mm256_storeu_ps(out + i, entries.at<0>(spread_nibbles(bytes)));
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
