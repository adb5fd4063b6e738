// Vectors for the bodies: AVX-512, 16 lanes. Include inside the target region of an instruction-set file (see target.h).
#pragma once

namespace lk::cpu::avx512 {

struct Simd {
  static constexpr int kLanes = 16;
  using F = __m512;
  using U = __m512i;
  using Mask = __mmask16;
  struct D {  // kLanes values of F64
    __m512d low, high;
  };

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float v) { return _mm512_set1_ps(v); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  // Past the caches, to an aligned address; ends with _mm_sfence.
  static void stream(float* p, F v) { _mm512_stream_ps(p, v); }
  // The first `count` lanes (0 ... kLanes); the others read as 0 and are not written.
  static F load_partial(const float* p, int count) { return _mm512_maskz_loadu_ps(mask(count), p); }
  static void store_partial(float* p, F v, int count) { _mm512_mask_storeu_ps(p, mask(count), v); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F sqrt(F a) { return _mm512_sqrt_ps(a); }
  // max and min give b where either is a NaN.
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F copysign(F magnitude, F sign) {
    return _mm512_or_ps(abs(magnitude), _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
  }
  static Mask less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static F select(Mask m, F a, F b) { return _mm512_mask_blend_ps(m, b, a); }  // m ? a : b
  static bool any(Mask m) { return m != 0; }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // a * 2^n, rounded once; n is integral, -150 ... 150
  static F times_power_of_two(F a, F n) { return _mm512_scalef_ps(a, n); }
  static float sum(F a) { return _mm512_reduce_add_ps(a); }
  static float largest(F a) { return _mm512_reduce_max_ps(a); }

  static D zero_d() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
  // sums + a in F64, lane by lane
  static D add(D sums, F a) {
    return {_mm512_add_pd(sums.low, _mm512_cvtps_pd(_mm512_castps512_ps256(a))),
            _mm512_add_pd(sums.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)))};
  }
  // sums + a * a in F64, lane by lane
  static D add_squares(D sums, F a) {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
    return {_mm512_fmadd_pd(low, low, sums.low), _mm512_fmadd_pd(high, high, sums.high)};
  }
  static double sum(D a) { return _mm512_reduce_add_pd(_mm512_add_pd(a.low, a.high)); }

  // 16-bit formats, kLanes elements.
  static F load_bf16(const uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
  }
  static F load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
  static void store_f16(uint16_t* p, F v) {
    _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  // Integer rounding, since vcvtneps2bf16 flushes denormals.
  static void store_bf16(uint16_t* p, F v) {
    const U bits = _mm512_castps_si512(v);
    const U odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const U rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const U nan = _mm512_set1_epi32(-1);  // see float_to_bf16
    const U result = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nan);
    _mm256_storeu_si256((__m256i*)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16)));
  }

 private:
  static __mmask16 mask(int count) { return static_cast<__mmask16>((1u << count) - 1u); }
};

}  // namespace lk::cpu::avx512
