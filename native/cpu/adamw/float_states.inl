// Moments in F32 or BF16: one pass over parameter, gradient and both moments. Bound by memory; neither prefetches nor
// stores past the cache are faster.

template <typename States, typename Gradients, typename Parameter>
void update_floats(AdamwConstants k, const Parameter& p, const typename Gradients::Element* g,
                   typename States::Element* m, typename States::Element* v, int64_t count) {
  for_each_vector(count, [&](int64_t i, auto lanes) {
    Simd::F parameter = p.load(i, lanes), mean = States::load(m + i, lanes), square = States::load(v + i, lanes);
    update(k, Gradients::load(g + i, lanes), parameter, mean, square);
    p.store(i, parameter, lanes);
    States::store(m + i, mean, lanes);
    States::store(v + i, square, lanes);
  });
}

// Elements [begin, end) of a tensor.
template <typename States>
void update_float_states(const AdamwConstants& k, const lk_adamw_param& t, int64_t begin, int64_t end) {
  using State = typename States::Element;
  State* m = at_address<State>(t.exp_avg) + begin;
  State* v = at_address<State>(t.exp_avg_sq) + begin;
  with_parameter(t, begin, [&](const auto& parameter) {
    with_format(t.gradient_dtype, [&](auto format) {
      using Gradients = decltype(format);
      const auto* g = at_address<const typename Gradients::Element>(t.gradient) + begin;
      update_floats<States, Gradients>(k, parameter, g, m, v, end - begin);
    });
  });
}
