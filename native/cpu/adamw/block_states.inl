// Moments in 8 bits: a block of LK_STATE_BLOCK elements at a time is decoded, updated, and encoded with the new absmax. The
// parameter takes its step from the moments before they are encoded.

// One block in F32. Elements past a shorter last block are 0.
struct MomentBlock {
  alignas(64) float m[LK_STATE_BLOCK], v[LK_STATE_BLOCK];
  int64_t begin, count;    // its elements of the tensor
  float absmax1, absmax2;  // of m and v; NaN in both where one of the moments is not finite
};

// The block's elements take their step.
template <typename Gradients, typename Parameter>
void update_block(AdamwConstants k, const Parameter& p, const typename Gradients::Element* g, MomentBlock& block) {
  Simd::F largest_m = Simd::zero(), largest_v = Simd::zero(), spoiled = Simd::zero();
  for_each_vector(block.count, [&](int64_t i, auto lanes) {
    Simd::F parameter = p.load(block.begin + i, lanes);
    Simd::F m = F32::load(block.m + i, lanes), v = F32::load(block.v + i, lanes);
    update(k, Gradients::load(g + block.begin + i, lanes), parameter, m, v);
    p.store(block.begin + i, parameter, lanes);
    F32::store(block.m + i, m, lanes);
    F32::store(block.v + i, v, lanes);
    largest_m = Simd::max(Simd::abs(m), largest_m);  // lanes past the end have g, m and v of 0
    largest_v = Simd::max(v, largest_v);
    spoiled = Simd::fma(Simd::zero(), v, spoiled);  // NaN, once v is not finite
  });
  // m is finite where v is, unless its block was spoiled before
  const float lost = Simd::sum(spoiled) + 0.0f * (block.absmax1 + block.absmax2);
  block.absmax1 = Simd::largest(largest_m) + lost;
  block.absmax2 = Simd::largest(largest_v) + lost;
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

inline void decode_moment(const StateMap& map, const uint8_t* codes, int64_t count, float absmax, float* values) {
  if (count == LK_STATE_BLOCK) return decode_block(map, codes, absmax, values);
  uint8_t whole[LK_STATE_BLOCK] = {};
  std::memcpy(whole, codes, static_cast<size_t>(count));
  decode_block(map, whole, absmax, values);
  std::fill(values + count, values + LK_STATE_BLOCK, 0.0f);
}

// The 8-bit moments of a tensor in memory.
class BlockStates {
 public:
  explicit BlockStates(const lk_adamw_param& t)
      : m_(at_address<uint8_t>(t.exp_avg)),
        v_(at_address<uint8_t>(t.exp_avg_sq)),
        absmax1_(at_address<float>(t.absmax1)),
        absmax2_(at_address<float>(t.absmax2)) {}

  void load(int64_t begin, int64_t count, MomentBlock& block) const {
    block.begin = begin;
    block.count = count;
    block.absmax1 = absmax1_[begin / LK_STATE_BLOCK];
    block.absmax2 = absmax2_[begin / LK_STATE_BLOCK];
    decode_moment(first_, m_ + begin, count, block.absmax1, block.m);
    decode_moment(second_, v_ + begin, count, block.absmax2, block.v);
  }

  void store(const MomentBlock& block) const {
    absmax1_[block.begin / LK_STATE_BLOCK] = block.absmax1;
    absmax2_[block.begin / LK_STATE_BLOCK] = block.absmax2;
    encode_moment<true>(first_, block.m, block.count, block.absmax1, m_ + block.begin);
    encode_moment<false>(second_, block.v, block.count, block.absmax2, v_ + block.begin);
  }

 private:
  const StateMap &first_ = first_moment_map(), &second_ = second_moment_map();
  uint8_t *m_, *v_;
  float *absmax1_, *absmax2_;
};

// Elements [begin, end) of a tensor; begin is a multiple of LK_STATE_BLOCK.
void update_block_states(const AdamwConstants& k, const lk_adamw_param& t, int64_t begin, int64_t end) {
  const BlockStates states(t);
  with_parameter(t, 0, [&](const auto& parameter) {
    with_format(t.gradient_dtype, [&](auto format) {
      using Gradients = decltype(format);
      const auto* g = at_address<const typename Gradients::Element>(t.gradient);
      // A block is encoded when the next one was updated: its absmax is long known then, and nothing waits for it (a step
      // takes 7 % less). Encoding quarters of a block between the updates of the next one's was slower.
      MomentBlock blocks[2];
      int current = 0;
      for (int64_t i = begin; i < end; i += LK_STATE_BLOCK, current ^= 1) {
        states.load(i, std::min<int64_t>(LK_STATE_BLOCK, end - i), blocks[current]);
        update_block<Gradients>(k, parameter, g, blocks[current]);
        if (i > begin) states.store(blocks[current ^ 1]);
      }
      states.store(blocks[current ^ 1]);
    });
  });
}
