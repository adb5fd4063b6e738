// Rows of 4-bit weights with aligned blocks for gemv, AVX-512: looked up in registers, unscaled; the sum of a block is
// scaled.
//
// 128 k of a row are 64 bytes, 16 dwords; nibble t of dword i is k = 8i + (t ^ 1). Vector t of a packed group of x
// holds the same k in lane i. Lanes 0 ... 7 are the first 64 k, and have the scale of their block.

class BlockDecoder : public AlignedBlocks {
 public:
  using Element = float;
  static constexpr int kGroup = 128;
  static constexpr int kMaxRows = 6;

  using AlignedBlocks::AlignedBlocks;

  static void pack_group(const float* x, Element* packed) {
    for (int t = 0; t < 8; ++t) {
      for (int i = 0; i < 16; ++i) packed[16 * t + i] = x[8 * i + (t ^ 1)];
    }
  }

  template <int kRows>
  void multiply(int64_t row, int64_t begin, int64_t end, const Element* x, int64_t ahead, float* sums) const {
    __m512 total[kRows];
    for (int m = 0; m < kRows; ++m) total[m] = _mm512_setzero_ps();
    for_each_scales(row, begin, end, [&](int64_t first, int64_t last, const float* scales) {
      // Sums that are reached through the capture would go to memory and back in every step.
      __m512 local[kRows];
      std::memcpy(local, total, sizeof total);
      int64_t k = first;
      for (; k + 128 <= last; k += 128) {
        const uint8_t* packed = at(row, k);
        prefetch_ahead(packed, ahead);
        const __m512 scale = _mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(scale_in(scales, k - first)),
                                                  _mm512_set1_ps(scale_in(scales, k - first + 64)));
        add_group<kRows>(_mm512_loadu_si512(packed), scale, x + k * kRows, local);
      }
      if (k < last) {  // half a group: x is 0 in the other
        add_group<kRows>(_mm512_maskz_loadu_epi32(0x00FF, at(row, k)), _mm512_set1_ps(scale_in(scales, k - first)),
                         x + k * kRows, local);
      }
      std::memcpy(total, local, sizeof total);
    });
    for (int m = 0; m < kRows; ++m) sums[m] += _mm512_reduce_add_ps(total[m]);
  }

 private:
  // total[m] += scale * (128 codes . x[m])
  template <int kRows>
  void add_group(__m512i packed, __m512 scale, const Element* x, __m512* total) const {
    const __m512 table = _mm512_loadu_ps(code());
    __m512 even[kRows], odd[kRows];
#pragma GCC unroll 4
    for (int t = 0; t < 8; t += 2) {
      const __m512 w0 = _mm512_permutexvar_ps(_mm512_srli_epi32(packed, static_cast<unsigned>(4 * t)), table);
      const __m512 w1 = _mm512_permutexvar_ps(_mm512_srli_epi32(packed, static_cast<unsigned>(4 * t + 4)), table);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) {
        const __m512 x0 = _mm512_loadu_ps(x + m * kGroup + 16 * t), x1 = _mm512_loadu_ps(x + m * kGroup + 16 * t + 16);
        even[m] = t == 0 ? _mm512_mul_ps(w0, x0) : _mm512_fmadd_ps(w0, x0, even[m]);
        odd[m] = t == 0 ? _mm512_mul_ps(w1, x1) : _mm512_fmadd_ps(w1, x1, odd[m]);
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) total[m] = _mm512_fmadd_ps(_mm512_add_ps(even[m], odd[m]), scale, total[m]);
  }
};
