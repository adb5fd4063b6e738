// F32 panels of 4-bit weights with aligned blocks, AVX-512.
//
// Forward, 16 rows of the weight x 128 k: a row is 64 bytes, and a dword of it holds 8 neighbouring k. The
// transposition is done on these dwords, 8 weights at a time; then each shift by 4 bits brings one k of all 16 rows
// into index position:
//
//   dword d of rows 0 ... 15 = one vector      nibble t of a dword is k = 8d + (t ^ 1): the high nibble is the even k
//     panel row 8d + (t ^ 1) = code[(vector >> 4t) & 15] * scale of each row
//
// Transposed, a row of the panel is 64 neighbouring k of one row of the weight: a table scaled once, four lookups.

class FastPanels : public AlignedBlocks {
 public:
  using AlignedBlocks::AlignedBlocks;

  template <Direction kDirection>
  bool build(int64_t column, int columns, int64_t depth, int length, float* panel) const {
    if (!aligned()) return false;
    if constexpr (kDirection == Direction::kForward) {
      for (int first = 0; first < columns; first += 16) {
        for (int s = 0; s < length; s += 128) {
          build_strip(column + first, depth + s, std::min(128, length - s), panel + s * kTileColumns + first);
        }
      }
    } else {
      build_transposed(column, depth, length, panel);
    }
    return true;
  }

 protected:
  // Scales of the 16 rows of a strip for its first 64 k, and for the rest.
  struct StripScales {
    __m512 of[2];
  };

  // r[d] = dword d, 8 neighbouring k, of rows `row` ... `row + 15`; the last row again where there are none. k ... k +
  // length - 1, length 64 or 128.
  StripScales load_strip(int64_t row, int64_t k, int length, __m512i r[16]) const {
    const __mmask16 dwords = static_cast<__mmask16>(length == 128 ? 0xFFFF : 0x00FF);
    const int64_t last = rows() - 1 - row;
    const uint8_t* packed = at(row, k);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      r[i] = _mm512_maskz_loadu_epi32(dwords, packed);
      if (i < last) packed += row_bytes();
    }
    transpose_16x16(r);
    alignas(64) float scales[2][16];
    const int64_t to_rest = block_of(row, k + length - 1) - block_of(row, k);
    int64_t block = block_of(row, k);
    for (int i = 0; i < 16; ++i) {
      scales[0][i] = scale_of(block);
      scales[1][i] = scale_of(block + to_rest);
      if (i < last) block += blocks_per_row();
    }
    return {{_mm512_load_ps(scales[0]), _mm512_load_ps(scales[1])}};
  }

 private:
  void build_strip(int64_t row, int64_t k, int length, float* panel) const {
    __m512i r[16];
    const StripScales scales = load_strip(row, k, length, r);
    const __m512 table = _mm512_loadu_ps(code());
    for (int d = 0; d < length / 8; ++d, panel += 8 * kTileColumns) {
#pragma GCC unroll 8
      for (int t = 0; t < 8; ++t) {
        const __m512 w = _mm512_permutexvar_ps(_mm512_srli_epi32(r[d], static_cast<unsigned>(4 * t)), table);
        _mm512_storeu_ps(panel + (t ^ 1) * kTileColumns, _mm512_mul_ps(w, scales.of[d / 8]));
      }
    }
  }

  // column is a multiple of 64, and 64 columns are there.
  void build_transposed(int64_t column, int64_t depth, int length, float* panel) const {
    const __m512 table = _mm512_loadu_ps(code());
    const uint8_t* packed = at(depth, column);
    int64_t block = block_of(depth, column);
    for (int s = 0; s < length; ++s, packed += row_bytes(), block += blocks_per_row(), panel += kTileColumns) {
      const __m512 scaled = _mm512_mul_ps(table, _mm512_set1_ps(scale_of(block)));
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        _mm512_storeu_ps(panel + 16 * v, _mm512_permutexvar_ps(spread_nibbles(packed + 8 * v), scaled));
      }
    }
  }
};
