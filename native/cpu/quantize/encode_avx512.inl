// The inner loops of quantisation with AVX-512. See blocks.inl for the interface.

inline uint32_t absmax_bits(const float* x, int64_t count) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i a = _mm512_setzero_si512(), b = a;
  for (int64_t i = 0; i < count; i += 32) {
    a = _mm512_max_epu32(a, _mm512_and_si512(magnitude, _mm512_loadu_si512(x + i)));
    b = _mm512_max_epu32(b, _mm512_and_si512(magnitude, _mm512_loadu_si512(x + i + 16)));
  }
  return _mm512_reduce_max_epu32(_mm512_max_epu32(a, b));
}

// Ranks in the NF4 code book without a search. [-1, 1] is cut into 31 bins narrower than the smallest distance of two
// thresholds, so that a bin holds one of them at the most:
//
//   rank = (thresholds below the bin) + (value > the threshold in the bin, infinity where there is none)
//
// The bin is what the low five bits of the float 1.5 * 2^23 + 16 + 15.4 * value hold. Thresholds are put into bins by
// the same arithmetic, which is monotone, so no rounding of it can misplace a value.
class Nf4Bins {
 public:
  Nf4Bins() {
    for (int bin = 0; bin < kBins; ++bin) {
      below_[bin] = 0;
      threshold_[bin] = HUGE_VALF;
      for (float threshold : kNf4Thresholds) {
        const int home = static_cast<int>(float_bits(std::fma(threshold, kScale, kOrigin)) % kBins);
        if (home < bin) ++below_[bin];
        if (home == bin) threshold_[bin] = threshold;
      }
    }
  }

  __m512i ranks(__m512 value) const {
    // NaN becomes 1, rank 15 (of an unordered pair, min gives the second).
    const __m512 clamped = _mm512_min_ps(value, _mm512_set1_ps(1.0f));
    const __m512i bin = _mm512_castps_si512(_mm512_fmadd_ps(clamped, _mm512_set1_ps(kScale), _mm512_set1_ps(kOrigin)));
    const __m512 threshold = _mm512_permutex2var_ps(_mm512_load_ps(threshold_), bin, _mm512_load_ps(threshold_ + 16));
    const __m512i below = _mm512_permutex2var_epi32(_mm512_load_si512(below_), bin, _mm512_load_si512(below_ + 16));
    const __mmask16 above = _mm512_cmp_ps_mask(clamped, threshold, _CMP_GT_OQ);
    return _mm512_mask_add_epi32(below, above, below, _mm512_set1_epi32(1));
  }

 private:
  static constexpr int kBins = 32;  // bin 0 stays empty
  static constexpr float kScale = 15.4f, kOrigin = 12582928.0f;

  alignas(64) float threshold_[kBins];
  alignas(64) int32_t below_[kBins];
};

// CodeSearch for 16 values: the tree is one register.
inline __m512i search_ranks(const CodeSearch& search, __m512 value) {
  const __m512 tree = _mm512_load_ps(search.tree);
  __m512i node = _mm512_set1_epi32(1);
  for (int level = 0; level < 4; ++level) {
    const __mmask16 right = _mm512_cmp_ps_mask(value, _mm512_permutexvar_ps(node, tree), _CMP_NLE_UQ);
    node = _mm512_add_epi32(node, node);
    node = _mm512_mask_add_epi32(node, right, node, _mm512_set1_epi32(1));
  }
  return _mm512_and_si512(node, _mm512_set1_epi32(15));
}

class Encoder {
 public:
  static constexpr int64_t kUnit = 64;

  explicit Encoder(int32_t format) : search_(format), nf4_(format == LK_NF4) {}
  const CodeSearch& search() const { return search_; }

  void encode(const float* x, int64_t count, const float* reciprocals, int block_shift, uint8_t* packed) const {
    if (nf4_) {
      const Nf4Bins bins = bins_;  // in registers
      encode_by(x, count, reciprocals, block_shift, packed, [&](__m512 value) { return bins.ranks(value); });
    } else {
      encode_by(x, count, reciprocals, block_shift, packed, [&](__m512 v) { return search_ranks(search_, v); });
    }
  }

 private:
  template <typename Ranks>
  void encode_by(const float* x, int64_t count, const float* reciprocals, int block_shift, uint8_t* packed,
                 const Ranks& ranks) const {
    const __m512i order = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)search_.order));
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int64_t i = 0; i < count; i += kUnit) {
      __m512i rank[4];
      for (int v = 0; v < 4; ++v) {
        const int64_t at = i + 16 * v;
        rank[v] = ranks(_mm512_mul_ps(_mm512_loadu_ps(x + at), _mm512_set1_ps(reciprocals[at >> block_shift])));
      }
      // Packing interleaves the 128-bit lanes of its operands; a permutation of doublewords undoes that for both steps.
      const __m512i bytes =
          _mm512_packus_epi16(_mm512_packus_epi32(rank[0], rank[1]), _mm512_packus_epi32(rank[2], rank[3]));
      const __m512i nibbles = _mm512_shuffle_epi8(order, _mm512_permutexvar_epi32(in_order, bytes));
      const __m512i pairs = _mm512_maddubs_epi16(nibbles, _mm512_set1_epi16(0x0110));  // 16 * even + odd
      _mm256_storeu_si256((__m256i*)(packed + (i >> 1)), _mm512_cvtepi16_epi8(pairs));
    }
  }

  CodeSearch search_;
  Nf4Bins bins_;
  bool nf4_;
};
