// The inner loops of quantisation with AVX2. See blocks.inl for the interface.

inline uint32_t absmax_bits(const float* x, int64_t count) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i a = _mm256_setzero_si256(), b = a;
  for (int64_t i = 0; i < count; i += 16) {
    a = _mm256_max_epu32(a, _mm256_and_si256(magnitude, _mm256_loadu_si256((const __m256i*)(x + i))));
    b = _mm256_max_epu32(b, _mm256_and_si256(magnitude, _mm256_loadu_si256((const __m256i*)(x + i + 8))));
  }
  a = _mm256_max_epu32(a, b);
  __m128i lanes = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  lanes = _mm_max_epu32(lanes, _mm_shuffle_epi32(lanes, 0x4e));
  lanes = _mm_max_epu32(lanes, _mm_shuffle_epi32(lanes, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(lanes));
}

class Encoder {
 public:
  static constexpr int64_t kUnit = 32;

  explicit Encoder(int32_t format) : search_(format) {}
  const CodeSearch& search() const { return search_; }

  void encode(const float* x, int64_t count, const float* reciprocals, int block_shift, uint8_t* packed) const {
    const __m256i order = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)search_.order));
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int64_t i = 0; i < count; i += kUnit) {
      const __m256 reciprocal = _mm256_set1_ps(reciprocals[i >> block_shift]);  // a unit is at most one block
      __m256i rank[4];
      for (int v = 0; v < 4; ++v) rank[v] = ranks(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8 * v), reciprocal));
      // Packing interleaves the 128-bit lanes of its operands; a permutation of doublewords undoes that for both steps.
      const __m256i bytes =
          _mm256_packus_epi16(_mm256_packus_epi32(rank[0], rank[1]), _mm256_packus_epi32(rank[2], rank[3]));
      const __m256i nibbles = _mm256_shuffle_epi8(order, _mm256_permutevar8x32_epi32(bytes, in_order));
      const __m256i pairs = _mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(0x0110));  // 16 * even + odd
      const __m256i packed_pairs = _mm256_permute4x64_epi64(_mm256_packus_epi16(pairs, pairs), 0x08);
      _mm_storeu_si128((__m128i*)(packed + (i >> 1)), _mm256_castsi256_si128(packed_pairs));
    }
  }

 private:
  // CodeSearch for 8 values. Nodes 1 ... 7 fit one register; of 8 ... 15 a permutation sees the low three bits.
  __m256i ranks(__m256 value) const {
    const __m256 upper = _mm256_load_ps(search_.tree), leaves = _mm256_load_ps(search_.tree + 8);
    __m256i node = _mm256_set1_epi32(1);
    node = descend(node, value, _mm256_set1_ps(search_.tree[1]));
    node = descend(node, value, _mm256_permutevar8x32_ps(upper, node));
    node = descend(node, value, _mm256_permutevar8x32_ps(upper, node));
    node = descend(node, value, _mm256_permutevar8x32_ps(leaves, node));
    return _mm256_and_si256(node, _mm256_set1_epi32(15));
  }
  static __m256i descend(__m256i node, __m256 value, __m256 threshold) {
    const __m256i right = _mm256_castps_si256(_mm256_cmp_ps(value, threshold, _CMP_NLE_UQ));  // -1 where so
    return _mm256_sub_epi32(_mm256_add_epi32(node, node), right);
  }

  CodeSearch search_;
};
