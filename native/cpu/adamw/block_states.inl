// Moments in 8 bits: a block of LK_STATE_BLOCK elements at a time is decoded, updated, and encoded with the new absmax. The
// parameter takes its step from the moments before they are encoded.

// One block in F32. Elements past a shorter last block are 0.
struct MomentBlock {
  alignas(64) float m[LK_STATE_BLOCK], v[LK_STATE_BLOCK];
};

// Updates `count` elements; returns the largest |m| and v. Where a moment is not finite, one of the two is not: v, unless
// the old m was that already.
template <typename Gradients, typename Parameter>
std::pair<float, float> update_block(const AdamwConstants& k, const Parameter& p, int64_t begin,
                                     const typename Gradients::Element* g, MomentBlock& block, int64_t count) {
  Simd::F largest_m = Simd::zero(), largest_v = Simd::zero(), overflow = Simd::zero();
  for_each_vector(count, [&](int64_t i, auto lanes) {
    Simd::F parameter = p.load(begin + i, lanes);
    Simd::F m = F32::load(block.m + i, lanes), v = F32::load(block.v + i, lanes);
    update(k, Gradients::load(g + i, lanes), parameter, m, v);
    p.store(begin + i, parameter, lanes);
    F32::store(block.m + i, m, lanes);
    F32::store(block.v + i, v, lanes);
    largest_m = Simd::max(Simd::abs(m), largest_m);  // lanes past the end have g, m and v of 0
    largest_v = Simd::max(v, largest_v);
    overflow = Simd::fma(Simd::zero(), v, overflow);  // NaN, once v is not finite
  });
  const float m = Simd::largest(largest_m), v = Simd::largest(largest_v);
  return {m, v + Simd::sum(overflow)};
}

template <bool kSigned>
void encode_moment(const StateMap& map, const float* values, int64_t count, float absmax, uint8_t* codes) {
  if (absmax == 0.0f || !std::isfinite(absmax)) {
    std::memset(codes, 0, static_cast<size_t>(count));
    return;
  }
  // an absmax whose reciprocal is no float leaves values below 1
  const float reciprocal = std::min(1.0f / absmax, FLT_MAX);
  if (count == LK_STATE_BLOCK) return encode_block<kSigned>(map, values, reciprocal, codes);
  uint8_t whole[LK_STATE_BLOCK];
  encode_block<kSigned>(map, values, reciprocal, whole);
  std::memcpy(codes, whole, static_cast<size_t>(count));
}

void decode_moment(const StateMap& map, const uint8_t* codes, int64_t count, float absmax, float* values) {
  if (count == LK_STATE_BLOCK) return decode_block(map, codes, absmax, values);
  uint8_t whole[LK_STATE_BLOCK] = {};
  std::memcpy(whole, codes, static_cast<size_t>(count));
  decode_block(map, whole, absmax, values);
  std::fill(values + count, values + LK_STATE_BLOCK, 0.0f);
}

// Elements [begin, end) of a tensor; begin is a multiple of LK_STATE_BLOCK.
void update_block_states(const AdamwConstants& k, const lk_adamw_param& t, int64_t begin, int64_t end) {
  const StateMap &first = first_moment_map(), &second = second_moment_map();
  float* absmax1 = at_address<float>(t.absmax1);
  float* absmax2 = at_address<float>(t.absmax2);
  with_parameter(t, 0, [&](const auto& parameter) {
    with_format(t.gradient_dtype, [&](auto format) {
      using Gradients = decltype(format);
      const auto* g = at_address<const typename Gradients::Element>(t.gradient);
      MomentBlock values;
      for (int64_t i = begin; i < end; i += LK_STATE_BLOCK) {
        const int64_t count = std::min<int64_t>(LK_STATE_BLOCK, end - i), block = i / LK_STATE_BLOCK;
        uint8_t* m = at_address<uint8_t>(t.exp_avg) + i;
        uint8_t* v = at_address<uint8_t>(t.exp_avg_sq) + i;
        decode_moment(first, m, count, absmax1[block], values.m);
        decode_moment(second, v, count, absmax2[block], values.v);
        const auto [largest_m, largest_v] = update_block<Gradients>(k, parameter, i, g + i, values, count);
        // one moment that is not finite spoils both of its block
        const float spoiled = 0.0f * largest_m + 0.0f * largest_v + 0.0f * (absmax1[block] + absmax2[block]);
        absmax1[block] = largest_m + spoiled;
        absmax2[block] = largest_v + spoiled;
        encode_moment<true>(first, values.m, count, absmax1[block], m);
        encode_moment<false>(second, values.v, count, absmax2[block], v);
      }
    });
  });
}
