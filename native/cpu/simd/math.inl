// exp, tanh and erf of a vector within 2 ulp of the exact value over all floats, the logistic function within 3
// (test_math.cpp); NaN stays NaN, infinities give the limits. Include inside the namespace of an instruction set, after its
// Simd.
//
// The polynomials are minimax fits in the relative error of the function, in the ranges that stand beside them.

template <int kCount>
Simd::F polynomial(Simd::F x, const float (&coefficients)[kCount]) {
  Simd::F sum = Simd::set1(coefficients[kCount - 1]);
#pragma GCC unroll 8
  for (int i = kCount - 2; i >= 0; --i) sum = Simd::fma(sum, x, Simd::set1(coefficients[i]));
  return sum;
}

// exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln 2 / 2.
inline Simd::F exp(Simd::F x) {
  constexpr float kLowest = -104.0f, kHighest = 89.0f;  // 0 and infinity from here on
  constexpr float kLn2High = 0.693359375f;              // so short that its product with n is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kSquare[] = {0.5f,         0.16666666f,   0.041666295f,
                               0.008333498f, 0.0013944758f, 0.00019790255f};  // (exp(r) - 1 - r) / r^2, 5e-11
  x = Simd::min(Simd::set1(kHighest), Simd::max(Simd::set1(kLowest), x));
  const Simd::F n = Simd::round(Simd::mul(x, Simd::set1(0x1.715476p0f)));
  Simd::F r = Simd::fma(n, Simd::set1(-kLn2High), x);
  r = Simd::fma(n, Simd::set1(-kLn2Low), r);
  const Simd::F tail = Simd::fma(Simd::mul(r, r), polynomial(r, kSquare), r);
  return Simd::times_power_of_two(Simd::add(tail, Simd::set1(1.0f)), n);
}

// 1 / (1 + exp(-x)), with z = exp(-|x|), which does not overflow: 1 / (1 + z), or z / (1 + z) where x < 0.
inline Simd::F sigmoid(Simd::F x) {
  const Simd::F one = Simd::set1(1.0f), z = exp(Simd::copysign(x, Simd::set1(-1.0f)));
  return Simd::div(Simd::select(Simd::less(x, Simd::zero()), z, one), Simd::add(one, z));
}

inline Simd::F tanh(Simd::F x) {
  constexpr float kSmall = 0.625f;
  constexpr float kCubic[] = {-0.3333328f, 0.13331442f, -0.05373972f, 0.0206391f,
                              -0.0057050008f};  // (tanh(x) / x - 1) / x^2, 4e-9
  const Simd::F magnitude = Simd::abs(x), square = Simd::mul(x, x), one = Simd::set1(1.0f);
  const Simd::F small = Simd::fma(Simd::mul(square, x), polynomial(square, kCubic), x);
  // 1 - 2 / (exp(2 |x|) + 1)
  const Simd::F e = exp(Simd::add(magnitude, magnitude));
  const Simd::F large = Simd::sub(one, Simd::div(Simd::set1(2.0f), Simd::add(e, one)));
  return Simd::select(Simd::less(magnitude, Simd::set1(kSmall)), small, Simd::copysign(large, x));
}

inline Simd::F erf(Simd::F x) {
  constexpr float kOne = 4.1f;  // erf rounds to 1 from here on
  constexpr float kSmall[] = {0.12837917f, -0.37612626f,    0.112835854f, -0.026853813f,
                              0.00518833f, -0.00080102164f, 7.85394e-05f};  // erf(x) / x - 1 in x^2, |x| < 1, 1e-9
  constexpr float kLarge[] = {
      0.12869434f,   0.6349695f,      0.10653087f,   -0.024010066f,
      0.0037574754f, -0.00035059155f, 1.3962384e-05f};  // -log(1 - erf(x)) / x - 1, |x| >= 1, 4e-10
  const Simd::F magnitude = Simd::abs(x), square = Simd::mul(x, x), one = Simd::set1(1.0f);
  const Simd::F small = Simd::fma(x, polynomial(square, kSmall), x);
  const Simd::F t = Simd::min(Simd::set1(kOne), magnitude);
  const Simd::F exponent = Simd::fma(t, polynomial(t, kLarge), t);
  const Simd::F large = Simd::sub(one, exp(Simd::sub(Simd::zero(), exponent)));
  return Simd::select(Simd::less(magnitude, one), small, Simd::copysign(large, x));
}
