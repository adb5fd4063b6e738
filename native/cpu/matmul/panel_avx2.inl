// F32 panels of 4-bit weights with aligned blocks, AVX2: as panel_avx512.inl has them, with 8 rows x 64 k for a strip
// and panels of 16 columns.

class FastPanels : public AlignedBlocks {
 public:
  using AlignedBlocks::AlignedBlocks;

  template <Direction kDirection>
  bool build(int64_t column, int columns, int64_t depth, int length, float* panel) const {
    if (!aligned()) return false;
    if constexpr (kDirection == Direction::kForward) {
      for (int first = 0; first < columns; first += 8) {
        for (int s = 0; s < length; s += 64) build_strip(column + first, depth + s, panel + s * kTileColumns + first);
      }
    } else {
      build_transposed(column, depth, length, panel);
    }
    return true;
  }

 private:
  // Rows `row` ... `row + 7` (the last one again where there are none), k ... k + 63.
  void build_strip(int64_t row, int64_t k, float* panel) const {
    const int last = static_cast<int>(std::min<int64_t>(7, rows() - 1 - row));
    const uint8_t* packed = at(row, k);
    __m256i r[8];
    alignas(32) float scale[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      r[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + std::min(i, last) * row_bytes()));
      scale[i] = scale_of(block_of(row + std::min(i, last), k));
    }
    transpose_8x8(r);
    const __m256 scales = _mm256_load_ps(scale);
    const Table16 table = Table16(code(), 1.0f);
    for (int d = 0; d < 8; ++d, panel += 8 * kTileColumns) {  // nibble t of dword d is k = 8d + (t ^ 1)
      _mm256_storeu_ps(panel + 1 * kTileColumns, _mm256_mul_ps(table.at<0>(r[d]), scales));
      _mm256_storeu_ps(panel + 0 * kTileColumns, _mm256_mul_ps(table.at<4>(r[d]), scales));
      _mm256_storeu_ps(panel + 3 * kTileColumns, _mm256_mul_ps(table.at<8>(r[d]), scales));
      _mm256_storeu_ps(panel + 2 * kTileColumns, _mm256_mul_ps(table.at<12>(r[d]), scales));
      _mm256_storeu_ps(panel + 5 * kTileColumns, _mm256_mul_ps(table.at<16>(r[d]), scales));
      _mm256_storeu_ps(panel + 4 * kTileColumns, _mm256_mul_ps(table.at<20>(r[d]), scales));
      _mm256_storeu_ps(panel + 7 * kTileColumns, _mm256_mul_ps(table.at<24>(r[d]), scales));
      _mm256_storeu_ps(panel + 6 * kTileColumns, _mm256_mul_ps(table.at<28>(r[d]), scales));
    }
  }

  // column is a multiple of 16, and 16 columns are there.
  void build_transposed(int64_t column, int64_t depth, int length, float* panel) const {
    const uint8_t* packed = at(depth, column);
    for (int s = 0; s < length; ++s, packed += row_bytes(), panel += kTileColumns) {
      const Table16 table = Table16(code(), scale_of(block_of(depth + s, column)));
      _mm256_storeu_ps(panel, table.at<0>(spread_nibbles(packed)));
      _mm256_storeu_ps(panel + 8, table.at<0>(spread_nibbles(packed + 4)));
    }
  }
};
