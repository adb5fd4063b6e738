// The arithmetic of one element; lora_kernels_optimizer.h has the formula and its order (torch's). Everything that does not
// depend on the element is formed once for each tensor, in float64, and rounded once:
//
//   g = gradient_scale * g + l2 * p;  p = p * decay;  m = m + (1 - beta1) * (g - m);  v = beta2 * v + ((1 - beta2) * g) * g;
//   p = p - step_size * (m / (sqrt(v) * inverse_root_correction2 + epsilon))
//
// where l2 is 0 in AdamW and decay is 1 in Adam.

// What all tensors of a step have in common.
struct StepConstants {
  explicit StepConstants(const lk_adamw_config& c)
      : config(c),
        one_minus_beta1(1.0 - exact(c.beta1)),
        one_minus_beta2(1.0 - exact(c.beta2)),
        correction1(1.0 - std::pow(exact(c.beta1), double(c.step))),
        correction2(1.0 - std::pow(exact(c.beta2), double(c.step))) {}

  // The decimal number that was meant: 0.999 given as a float is 0.99900001287, and 1 - beta2 would be wrong by 1.3e-5 of itself.
  static double exact(float value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g", double{value});
    return std::strtod(text, nullptr);
  }

  lk_adamw_config config;
  double one_minus_beta1, one_minus_beta2, correction1, correction2;
};

struct AdamwConstants {
  AdamwConstants(const StepConstants& s, const lk_adamw_param& t)
      : AdamwConstants(s, t, double{s.config.learning_rate} * double{t.learning_rate_scale}) {}

  AdamwConstants(const StepConstants& s, const lk_adamw_param& t, double rate)
      : gradient_scale(s.config.gradient_scale),
        l2(s.config.decoupled ? 0.0f : t.weight_decay),
        decay(s.config.decoupled ? static_cast<float>(1.0 - rate * double{t.weight_decay}) : 1.0f),
        one_minus_beta1(static_cast<float>(s.one_minus_beta1)),
        beta2(s.config.beta2),
        one_minus_beta2(static_cast<float>(s.one_minus_beta2)),
        epsilon(s.config.epsilon),
        step_size(static_cast<float>(rate / s.correction1)),
        inverse_root_correction2(static_cast<float>(1.0 / std::sqrt(s.correction2))) {}

  float gradient_scale, l2, decay, one_minus_beta1, beta2, one_minus_beta2, epsilon, step_size,
      inverse_root_correction2;
};

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
