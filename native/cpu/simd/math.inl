// Elementary functions on vectors of F32. Include inside the namespace of an instruction set, after its Simd. A NaN stays
// one, and infinities have their limits: constants come first in min and max, which return the second operand for a NaN.

// e^x, relative error below 2^-22: x = n * ln 2 + r with |r| <= ln(2) / 2, a polynomial of r (Cephes, expf), times 2^n.
inline Simd::F exp(Simd::F x) {
  x = Simd::min(Simd::set1(89.0f), Simd::max(Simd::set1(-104.0f), x));  // beyond: infinity, and 0
  const Simd::F n = Simd::round(Simd::mul(x, Simd::set1(1.44269504f)));
  Simd::F r = Simd::fma(n, Simd::set1(-0.693359375f), x);  // ln 2 in two parts: the first product is exact
  r = Simd::fma(n, Simd::set1(2.12194440e-4f), r);
  Simd::F p = Simd::set1(1.9875691500e-4f);
  p = Simd::fma(p, r, Simd::set1(1.3981999507e-3f));
  p = Simd::fma(p, r, Simd::set1(8.3334519073e-3f));
  p = Simd::fma(p, r, Simd::set1(4.1665795894e-2f));
  p = Simd::fma(p, r, Simd::set1(1.6666665459e-1f));
  p = Simd::fma(p, r, Simd::set1(5.0000001201e-1f));
  p = Simd::add(Simd::fma(p, Simd::mul(r, r), r), Simd::set1(1.0f));
  return Simd::times_power_of_two(p, n);
}

// tanh x, error below 2^-21 of it: an odd rational function of x, which is 1 within an ulp from the clamp on (Eigen's
// coefficients).
inline Simd::F tanh(Simd::F x) {
  x = Simd::min(Simd::set1(7.90531111f), Simd::max(Simd::set1(-7.90531111f), x));
  const Simd::F s = Simd::mul(x, x);
  Simd::F p = Simd::set1(-2.76076847742355e-16f);
  p = Simd::fma(p, s, Simd::set1(2.00018790482477e-13f));
  p = Simd::fma(p, s, Simd::set1(-8.60467152213735e-11f));
  p = Simd::fma(p, s, Simd::set1(5.12229709037114e-08f));
  p = Simd::fma(p, s, Simd::set1(1.48572235717979e-05f));
  p = Simd::fma(p, s, Simd::set1(6.37261928875436e-04f));
  p = Simd::fma(p, s, Simd::set1(4.89352455891786e-03f));
  Simd::F q = Simd::set1(1.19825839466702e-06f);
  q = Simd::fma(q, s, Simd::set1(1.18534705686654e-04f));
  q = Simd::fma(q, s, Simd::set1(2.26843463243900e-03f));
  q = Simd::fma(q, s, Simd::set1(4.89352518554385e-03f));
  return Simd::div(Simd::mul(x, p), q);
}
