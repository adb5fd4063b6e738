// Rows of 4-bit weights with aligned blocks for gemv, AVX2: looked up in registers, unscaled; the sum of a block is
// scaled.
//
// A float of the code book is four bytes, and byte p of all 16 fits a byte shuffle. Four shuffles give the four bytes
// of 32 weights, unpacking joins them to floats. The high nibbles of 32 bytes come first (even k), then the low ones;
// inside, vector v lane i is byte 16 * (i / 4) + 4v + i % 4.

class BlockDecoder : public AlignedBlocks {
 public:
  using Element = float;
  static constexpr int kGroup = 64;
  static constexpr int kMaxRows = 4;

  explicit BlockDecoder(const lk_weight& weight) : AlignedBlocks(weight) {
    for (int p = 0; p < 4; ++p) {
      for (int i = 0; i < 16; ++i) byte_of_code_[p][i] = static_cast<uint8_t>(float_bits(code()[i]) >> (8 * p));
    }
  }

  static void pack_group(const float* x, Element* packed) {
    for (int low = 0; low < 2; ++low) {
      for (int v = 0; v < 4; ++v) {
        for (int i = 0; i < 8; ++i) *packed++ = x[2 * (16 * (i / 4) + 4 * v + i % 4) + low];
      }
    }
  }

  template <int kRows>
  void multiply(int64_t row, int64_t begin, int64_t end, const Element* x, int64_t ahead, float* sums) const {
    __m256 total[kRows];
    for (int m = 0; m < kRows; ++m) total[m] = _mm256_setzero_ps();
    const __m256i nibble = _mm256_set1_epi8(15);
    for_each_scales(row, begin, end, [&](int64_t first, int64_t last, const float* scales) {
      for (int64_t k = first; k < last; k += 64) {
        const uint8_t* packed = at(row, k);
        prefetch_ahead(packed, ahead);
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed));
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble),
                      low = _mm256_and_si256(bytes, nibble);
        __m256 group[kRows];
        for (int m = 0; m < kRows; ++m) group[m] = _mm256_setzero_ps();
        add_codes<kRows>(high, x + k * kRows, group);
        add_codes<kRows>(low, x + k * kRows + 32, group);
        const __m256 scale = _mm256_set1_ps(scale_in(scales, k - first));
        for (int m = 0; m < kRows; ++m) total[m] = _mm256_fmadd_ps(group[m], scale, total[m]);
      }
    });
    for (int m = 0; m < kRows; ++m) sums[m] += Simd::sum(total[m]);
  }

 private:
  // group[m] += (32 codes) . x[m]
  template <int kRows>
  void add_codes(__m256i index, const Element* x, __m256* group) const {
    __m256i plane[4];
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
      const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(byte_of_code_[p]));
      plane[p] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), index);
    }
    const __m256i low01 = _mm256_unpacklo_epi8(plane[0], plane[1]), high01 = _mm256_unpackhi_epi8(plane[0], plane[1]);
    const __m256i low23 = _mm256_unpacklo_epi8(plane[2], plane[3]), high23 = _mm256_unpackhi_epi8(plane[2], plane[3]);
    const __m256i w[4] = {_mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
                          _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)};
#pragma GCC unroll 4
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        group[m] = _mm256_fmadd_ps(_mm256_castsi256_ps(w[v]), _mm256_loadu_ps(x + m * kGroup + 8 * v), group[m]);
      }
    }
  }

  alignas(16) uint8_t byte_of_code_[4][16];
};
