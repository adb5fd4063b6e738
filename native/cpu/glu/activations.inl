// The activations of a gated linear unit and their slopes, by vectors. Include after cpu/simd/math.inl.

struct Activated {
  Simd::F value, slope;
};

// g * s, s = sigmoid(g); slope s * (1 + g * (1 - s))
struct Silu {
  static Simd::F value(Simd::F g) { return Simd::mul(g, sigmoid(g)); }
  static Activated with_slope(Simd::F g) {
    const Simd::F one = Simd::set1(1.0f), s = sigmoid(g);
    return {Simd::mul(g, s), Simd::mul(s, Simd::fma(g, Simd::sub(one, s), one))};
  }
};

// 0.5 g (1 + t), t = tanh(u), u = sqrt(2 / pi) (g + 0.044715 g^3); slope 0.5 (1 + t) + 0.5 g (1 - t^2) u'
struct GeluTanh {
  static constexpr float kRoot = 0.7978845608f, kCubic = 0.044715f;

  static Simd::F tanh_of(Simd::F g, Simd::F square) {
    const Simd::F factor = Simd::fma(square, Simd::set1(kRoot * kCubic), Simd::set1(kRoot));
    return tanh(Simd::mul(g, factor));
  }
  static Simd::F value(Simd::F g) {
    const Simd::F t = tanh_of(g, Simd::mul(g, g));
    return Simd::mul(Simd::mul(Simd::set1(0.5f), g), Simd::add(Simd::set1(1.0f), t));
  }
  static Activated with_slope(Simd::F g) {
    const Simd::F one = Simd::set1(1.0f), square = Simd::mul(g, g), t = tanh_of(g, square);
    const Simd::F half_g = Simd::mul(Simd::set1(0.5f), g), one_plus = Simd::add(one, t);
    const Simd::F inner = Simd::fma(square, Simd::set1(3.0f * kRoot * kCubic), Simd::set1(kRoot));
    const Simd::F bend = Simd::mul(Simd::mul(one_plus, Simd::sub(one, t)), inner);  // (1 - t^2) u'
    return {Simd::mul(half_g, one_plus), Simd::fma(half_g, bend, Simd::mul(Simd::set1(0.5f), one_plus))};
  }
};

// g * p, p = 0.5 (1 + erf(g / sqrt(2))); slope p + g exp(-g^2 / 2) / sqrt(2 pi)
struct Gelu {
  static Simd::F share(Simd::F g) {
    const Simd::F e = erf(Simd::mul(g, Simd::set1(0.7071067812f)));
    return Simd::mul(Simd::set1(0.5f), Simd::add(Simd::set1(1.0f), e));
  }
  static Simd::F value(Simd::F g) { return Simd::mul(g, share(g)); }
  static Activated with_slope(Simd::F g) {
    const Simd::F p = share(g);
    const Simd::F density = exp(Simd::mul(Simd::set1(-0.5f), Simd::mul(g, g)));
    return {Simd::mul(g, p), Simd::fma(Simd::mul(g, Simd::set1(0.3989422804f)), density, p)};
  }
};

template <typename F>
void with_activation(int32_t activation, F&& f) {
  switch (activation) {
    case LK_GELU_TANH:
      return f(GeluTanh{});
    case LK_GELU:
      return f(Gelu{});
    default:
      return f(Silu{});
  }
}
