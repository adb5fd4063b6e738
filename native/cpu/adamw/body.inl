// AdamW, one pass over parameter, gradient and both states; lora_kernels.h has the formula and its order (torch's). Everything
// that does not depend on the element is formed once, in float64, and rounded once. The element's arithmetic:
//
//   g = gradient_scale * g;  p = p * decay;  m = m + (1 - beta1) * (g - m);  v = beta2 * v + ((1 - beta2) * g) * g;
//   p = p - step_size * (m / (sqrt(v) / root_correction2 + epsilon))

struct AdamwConstants {
  explicit AdamwConstants(const lk_adamw_config& c)
      : gradient_scale(c.gradient_scale),
        decay(static_cast<float>(1.0 - double{c.learning_rate} * double{c.weight_decay})),
        one_minus_beta1(static_cast<float>(1.0 - exact(c.beta1))),
        beta2(c.beta2),
        one_minus_beta2(static_cast<float>(1.0 - exact(c.beta2))),
        epsilon(c.epsilon),
        step_size(static_cast<float>(exact(c.learning_rate) / (1.0 - std::pow(exact(c.beta1), double(c.step))))),
        root_correction2(static_cast<float>(std::sqrt(1.0 - std::pow(exact(c.beta2), double(c.step))))) {}

  // The decimal number that was meant: 0.999 given as a float is 0.99900001287, and 1 - beta2 would be wrong by 1.3e-5 of itself.
  static double exact(float value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g", double{value});
    return std::strtod(text, nullptr);
  }

  float gradient_scale, decay, one_minus_beta1, beta2, one_minus_beta2, epsilon, step_size, root_correction2;
};

inline void update(const AdamwConstants& k, const Simd::F g_in, Simd::F& p, Simd::F& m, Simd::F& v) {
  const Simd::F g = Simd::mul(g_in, Simd::set1(k.gradient_scale));
  p = Simd::mul(p, Simd::set1(k.decay));
  m = Simd::fma(Simd::set1(k.one_minus_beta1), Simd::sub(g, m), m);
  v = Simd::fma(Simd::mul(Simd::set1(k.one_minus_beta2), g), g, Simd::mul(Simd::set1(k.beta2), v));
  const Simd::F denominator =
      Simd::add(Simd::div(Simd::sqrt(v), Simd::set1(k.root_correction2)), Simd::set1(k.epsilon));
  p = Simd::sub(p, Simd::mul(Simd::set1(k.step_size), Simd::div(m, denominator)));
}

// Elements [begin, end) of one tensor.
void update_run(const AdamwConstants& k, const lk_adamw_param& t, int64_t begin, int64_t end) {
  char* p = at_address<char>(t.parameter) + begin * element_bytes(t.dtype);
  const char* g = at_address<const char>(t.gradient) + begin * element_bytes(t.gradient_dtype);
  float* m = at_address<float>(t.exp_avg) + begin;
  float* v = at_address<float>(t.exp_avg_sq) + begin;
  const int64_t count = end - begin;
  int64_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) {
    Simd::F parameter = load_as_f32(p + i * element_bytes(t.dtype), t.dtype);
    Simd::F mean = Simd::load(m + i), square = Simd::load(v + i);
    update(k, load_as_f32(g + i * element_bytes(t.gradient_dtype), t.gradient_dtype), parameter, mean, square);
    store_from_f32(p + i * element_bytes(t.dtype), t.dtype, parameter);
    Simd::store(m + i, mean);
    Simd::store(v + i, square);
  }
  if (i == count) return;
  const int rest = static_cast<int>(count - i);
  float parameters[Simd::kLanes], gradients[Simd::kLanes];
  widen_run(p + i * element_bytes(t.dtype), t.dtype, rest, parameters);
  widen_run(g + i * element_bytes(t.gradient_dtype), t.gradient_dtype, rest, gradients);
  Simd::F parameter = Simd::load_partial(parameters, rest);
  Simd::F mean = Simd::load_partial(m + i, rest), square = Simd::load_partial(v + i, rest);
  update(k, Simd::load_partial(gradients, rest), parameter, mean, square);
  Simd::store_partial(parameters, parameter, rest);
  Simd::store_partial(m + i, mean, rest);
  Simd::store_partial(v + i, square, rest);
  narrow_run(parameters, rest, p + i * element_bytes(t.dtype), t.dtype);
}

// Chunks of all tensors form one list of tasks: many small tensors keep every thread as busy as one large one.
void adamw_step(Device& device, const lk_adamw_config& config, const lk_adamw_param* parameters, int64_t count) {
  constexpr int64_t kChunk = 1 << 16;
  const AdamwConstants constants(config);
  // first_chunk[i] = number of chunks before tensor i
  const Workspace workspace(device, static_cast<size_t>(count + 1) * sizeof(int64_t));
  int64_t* first_chunk = reinterpret_cast<int64_t*>(workspace.data());
  first_chunk[0] = 0;
  for (int64_t i = 0; i < count; ++i) first_chunk[i + 1] = first_chunk[i] + ceil_div(parameters[i].count, kChunk);
  parallel_for(first_chunk[count], [&](int64_t chunk, std::byte*) {
    const int64_t tensor = std::upper_bound(first_chunk, first_chunk + count + 1, chunk) - first_chunk - 1;
    const int64_t begin = (chunk - first_chunk[tensor]) * kChunk;
    update_run(constants, parameters[tensor], begin, std::min(begin + kChunk, parameters[tensor].count));
  });
}
