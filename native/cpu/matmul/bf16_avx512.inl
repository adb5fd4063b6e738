// Products of BF16 activations: the weight is rounded to BF16 once and vdpbf16ps takes two k at a time, with sums in
// F32.
//
// An element is a pair of neighbouring values of the sum, the earlier one in the low half, so rows of x are used as
// they lie in memory:
//
//   left    (x[m, 2s], x[m, 2s + 1])                 panel[s][j]    (w[2s, j], w[2s + 1, j])
//
// vcvtne2ps2bf16 flushes results below 2^-126 to zero, and vdpbf16ps reads such values as zero.

struct Bf16Product {
  using Element = uint32_t;
  using Vector = __m512i;
  static constexpr int kDepth = 2;

  static bool takes_in_place(const lk_tensor& x, int length) {
    return x.row_stride % 2 == 0 && length % 2 == 0 && x.data % sizeof(Element) == 0;
  }
  static LeftOperand<Element> in_place(const lk_tensor& x, int64_t row, int64_t depth) {
    return {reinterpret_cast<const Element*>(element_at(x, row, depth)), x.row_stride / 2};
  }
  // x is BF16, and there is no dropout: that is for the F32 product with the adapter.
  static void pack_row(const lk_tensor& x, const Dropout&, int64_t row, int64_t depth, int length, Element* out) {
    out[steps(length) - 1] = 0;  // behind an odd length
    std::memcpy(out, element_at(x, row, depth), static_cast<size_t>(length) * sizeof(uint16_t));
  }
  // Columns of t in its rows depth and depth + 1, the latter 0 where there is none.
  static void pack_columns(const lk_tensor& t, int64_t depth, int64_t row, int rows, Element* out) {
    const auto* first = reinterpret_cast<const uint16_t*>(element_at(t, depth, row));
    const auto* second = depth + 1 < t.rows ? first + t.row_stride : nullptr;
    for (int i = 0; i < rows; i += 16) {
      const __mmask16 valid = static_cast<__mmask16>(rows - i >= 16 ? 0xFFFF : (1 << (rows - i)) - 1);
      const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(valid, first + i));
      const __m512i high =
          second ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(valid, second + i)) : _mm512_setzero_si512();
      _mm512_mask_storeu_epi32(out + i, valid, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
  }
  static int steps(int length) { return (length + 1) / 2; }
  static Vector load(const Element* p) { return _mm512_loadu_si512(p); }
  static Vector broadcast(const Element* p) { return _mm512_set1_epi32(static_cast<int>(*p)); }
  static __m512 multiply_add(Vector a, Vector b, __m512 c) {
    return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

// 32 words: `low` rounded to BF16, then `high`.
inline __m512i round_to_bf16(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Lane i: the pair (low[i], high[i]).
inline __m512i bf16_pairs(__m512 low, __m512 high) {
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                              6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, round_to_bf16(low, high));
}

// Panels of pairs of 4-bit weights with aligned blocks.
class FastPairPanels : public FastPanels {
 public:
  using FastPanels::FastPanels;

  template <Direction kDirection>
  bool build_pairs(int64_t column, int columns, int64_t depth, int length, uint32_t* panel) const {
    if (!aligned()) return false;
    if constexpr (kDirection == Direction::kForward) {
      for (int first = 0; first < columns; first += 16) {
        for (int s = 0; s < length; s += 128) {
          build_strip(column + first, depth + s, std::min(128, length - s), panel + s / 2 * kTileColumns + first);
        }
      }
    } else {
      for (int s = 0; s < length; s += 2, panel += kTileColumns) build_row_pair(depth + s, column, panel);
    }
    return true;
  }

 private:
  // As the strip of F32: byte b of dword d holds the pair k = 8d + 2b (its high nibble), 8d + 2b + 1.
  void build_strip(int64_t row, int64_t k, int length, uint32_t* panel) const {
    __m512i r[16];
    const StripScales scales = load_strip(row, k, length, r);
    const __m512 table = _mm512_loadu_ps(code());
    for (int d = 0; d < length / 8; ++d, panel += 4 * kTileColumns) {
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) {
        const __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(r[d], static_cast<unsigned>(8 * b + 4)), table);
        const __m512 odd = _mm512_permutexvar_ps(_mm512_srli_epi32(r[d], static_cast<unsigned>(8 * b)), table);
        _mm512_storeu_si512(panel + b * kTileColumns,
                            bf16_pairs(_mm512_mul_ps(even, scales.of[d / 8]), _mm512_mul_ps(odd, scales.of[d / 8])));
      }
    }
  }

  // 64 columns of rows n and n + 1. The 16 codes of each row's block are scaled and rounded once, into one table of 32
  // words whose upper half is row n + 1; a word of indices is a nibble, and bit 4 is the row.
  void build_row_pair(int64_t n, int64_t column, uint32_t* panel) const {
    const bool both = n + 1 < rows();
    const uint8_t* row0 = at(n, column);
    const uint8_t* row1 = both ? row0 + row_bytes() : row0;
    const float scale1 = both ? scale_of(block_of(n + 1, column)) : 0.0f;
    const __m512 code_values = _mm512_loadu_ps(code());
    const __m512i table = round_to_bf16(_mm512_mul_ps(code_values, _mm512_set1_ps(scale_of(block_of(n, column)))),
                                        _mm512_mul_ps(code_values, _mm512_set1_ps(scale1)));
    // Qword i: bytes 4i ... 4i + 3, that is columns 8i ... 8i + 7, of row n, then those of row n + 1.
    const __m512i interleave = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i rows01 = _mm512_permutex2var_epi32(_mm512_castsi256_si512(load_256(row0)), interleave,
                                                     _mm512_castsi256_si512(load_256(row1)));
    // Qword i of a vector: columns 2i and 2i + 1 of both rows, a word each. Bit offsets into the qword of rows01:
    // column 2i, row n: 8i + 4; row n + 1: 32 more; column 2i + 1: 8i and 8i + 32. Only the low byte of a word matters.
    const __m512i offsets = _mm512_setr_epi64(word_offsets(0), word_offsets(8), word_offsets(16), word_offsets(24),
                                              word_offsets(0), word_offsets(8), word_offsets(16), word_offsets(24));
    const __m512i nibble = _mm512_set1_epi16(15), upper_row = _mm512_set1_epi32(0x00100000);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512i qwords = _mm512_setr_epi64(2 * v, 2 * v, 2 * v, 2 * v, 2 * v + 1, 2 * v + 1, 2 * v + 1, 2 * v + 1);
      const __m512i words = _mm512_multishift_epi64_epi8(offsets, _mm512_permutexvar_epi64(qwords, rows01));
      const __m512i index = _mm512_ternarylogic_epi32(words, nibble, upper_row, 0xEA);  // (words & nibble) | upper_row
      _mm512_storeu_si512(panel + 16 * v, _mm512_permutexvar_epi16(index, table));
    }
  }

  static __m256i load_256(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static constexpr int64_t word_offsets(int64_t byte) {
    return (byte + 4) | (byte + 36) << 16 | byte << 32 | (byte + 32) << 48;
  }
};

// Dense BF16 weights, summed over their rows: a row of pairs lies in two rows of the weight. Any other weight: two rows of
// an F32 panel become one row of pairs.
template <Direction kDirection>
class Panels<Bf16Product, kDirection> {
 public:
  explicit Panels(const lk_weight& weight)
      : wide_(weight),
        fast_(weight),
        lies_in_pairs_(kDirection == Direction::kTransposed && !is_4bit(weight) && weight.dtype == LK_BF16),
        dense_(dense_tensor(weight)) {}

  int64_t depth() const { return wide_.depth(); }

  // `staging` holds kPanelElements + kStripElements.
  void build(int64_t column, int columns, int64_t depth, int length, uint32_t* panel, float* staging) const {
    if (fast_.template build_pairs<kDirection>(column, columns, depth, length, panel)) return;
    if (lies_in_pairs_) {
      for (int s = 0; s < length; s += 2, panel += kTileColumns) {
        Bf16Product::pack_columns(dense_, depth + s, column, columns, panel);
        std::fill(panel + columns, panel + kTileColumns, 0u);
      }
      return;
    }
    for (int first = 0; first < length; first += kPanelSteps) {
      const int steps = std::min(kPanelSteps, length - first);
      wide_.build(column, columns, depth + first, steps, staging, staging + kPanelElements);
      if (steps % 2) std::fill_n(staging + steps * kTileColumns, kTileColumns, 0.0f);
      for (int s = 0; s < steps; s += 2, panel += kTileColumns) {
        const float* pair = staging + s * kTileColumns;
        for (int j = 0; j < kTileColumns; j += 16) {
          _mm512_storeu_si512(panel + j,
                              bf16_pairs(_mm512_loadu_ps(pair + j), _mm512_loadu_ps(pair + kTileColumns + j)));
        }
      }
    }
  }

  void prefetch(int64_t column, int64_t depth, int length, int part, int parts) const {
    wide_.prefetch(column, depth, length, part, parts);
  }

 private:
  Panels<F32Product, kDirection> wide_;
  FastPairPanels fast_;
  bool lies_in_pairs_;
  lk_tensor dense_;  // the weight, where it is dense
};
