// Rows of 4-bit weights with aligned blocks for gemv_transposed, AVX-512: the 16 codes of a block are scaled once, and
// weights are looked up in registers.

class BlockRows : public AlignedBlocks {
 public:
  explicit BlockRows(const lk_weight& weight) : AlignedBlocks(weight), columns_(weight.cols) {}

  // As GeneralRows::add.
  template <int kRows, int kCount>
  void add(int64_t row, const float* const* factors, float* sums, int64_t stride) const {
    const __m512 code_values = _mm512_loadu_ps(code());
    const uint8_t* packed = at(row, 0);
    __m512 factor[kRows][kCount];
#pragma GCC unroll 4
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) factor[m][i] = _mm512_set1_ps(factors[m][i]);
    }
    for (int64_t k = 0; k < columns_; k += 64, packed += 32, sums += 64) {
      __m512 tables[kCount];
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) {
        prefetch_ahead(packed + i * row_bytes(), kRowsAtOnce * row_bytes());
        tables[i] = _mm512_mul_ps(code_values, _mm512_set1_ps(scale_of(block_of(row + i, k))));
      }
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        __m512 w[kCount];
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) {
          w[i] = _mm512_permutexvar_ps(spread_nibbles(packed + i * row_bytes() + 8 * v), tables[i]);
        }
#pragma GCC unroll 4
        for (int m = 0; m < kRows; ++m) {
          __m512 sum = _mm512_load_ps(sums + m * stride + 16 * v);
#pragma GCC unroll 4
          for (int i = 0; i < kCount; ++i) sum = _mm512_fmadd_ps(factor[m][i], w[i], sum);
          _mm512_store_ps(sums + m * stride + 16 * v, sum);
        }
      }
    }
  }

 private:
  int64_t columns_;
};
