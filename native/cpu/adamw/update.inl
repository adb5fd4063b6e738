// The arithmetic of one element; lora_kernels_optimizer.h has the formula and its order (torch's). What does not
// depend on the element is AdamwConstants (common/adamw.h):
//
//   g = gradient_scale * g + l2 * p;  p = p * decay;  m = m + (1 - beta1) * (g - m);  v = beta2 * v + ((1 - beta2) * g) * g;
//   p = p - step_size * (m / (sqrt(v) * inverse_root_correction2 + epsilon))
//
// where l2 is 0 in AdamW and decay is 1 in Adam.

inline void update(const AdamwConstants& k, const Simd::F g_in, Simd::F& p, Simd::F& m, Simd::F& v) {
  const Simd::F g = Simd::fma(Simd::set1(k.l2), p, Simd::mul(g_in, Simd::set1(k.gradient_scale)));
  p = Simd::mul(p, Simd::set1(k.decay));
  m = Simd::fma(Simd::set1(k.one_minus_beta1), Simd::sub(g, m), m);
  v = Simd::fma(Simd::mul(Simd::set1(k.one_minus_beta2), g), g, Simd::mul(Simd::set1(k.beta2), v));
  const Simd::F denominator = Simd::fma(Simd::sqrt(v), Simd::set1(k.inverse_root_correction2), Simd::set1(k.epsilon));
  p = Simd::sub(p, Simd::mul(Simd::set1(k.step_size), Simd::div(m, denominator)));
}

// A parameter in one format.
template <typename Values>
struct PlainParameter {
  PlainParameter(const lk_adamw_param& t, int64_t begin)
      : values(at_address<typename Values::Element>(t.parameter) + begin) {}

  template <typename Lanes>
  Simd::F load(int64_t i, Lanes lanes) const {
    return Values::load(values + i, lanes);
  }
  template <typename Lanes>
  void store(int64_t i, Simd::F v, Lanes lanes) const {
    Values::store(values + i, v, lanes);
  }

  typename Values::Element* values;
};

// A BF16 parameter that is the rounding of its F32 master.
struct MasteredParameter {
  MasteredParameter(const lk_adamw_param& t, int64_t begin) : master(t, begin), rounded(t, begin) {
    master.values = at_address<float>(t.master) + begin;
  }

  template <typename Lanes>
  Simd::F load(int64_t i, Lanes lanes) const {
    return master.load(i, lanes);
  }
  template <typename Lanes>
  void store(int64_t i, Simd::F v, Lanes lanes) const {
    master.store(i, v, lanes);
    rounded.store(i, v, lanes);
  }

  PlainParameter<F32> master;
  PlainParameter<Format<LK_BF16>> rounded;
};

// f(parameter) with elements from `begin` on.
template <typename F>
void with_parameter(const lk_adamw_param& t, int64_t begin, F&& f) {
  if (t.master) return f(MasteredParameter(t, begin));
  if (t.dtype == LK_BF16) return f(PlainParameter<Format<LK_BF16>>(t, begin));
  f(PlainParameter<F32>(t, begin));
}
