// 8-bit moments of every kernel table: each bin of either map, whole blocks and tails, against the rule of native/README.md.
#include <algorithm>
#include <cstring>
#include <limits>

#include "test/adamw_tensor.h"

using namespace lk;
using namespace lk::test;

namespace {

// The rule, written out: the number of midpoints of the map below the centre of a value's bin.
uint8_t code_of(const float* map, float value) {
  const float clamped = std::min(1.0f, std::max(-1.0f, value));
  const float bin = std::trunc((clamped + 1.0f) * 0.5f * 65535.0f + 0.5f);
  const float centre = -1.0f + 2.0f * bin / 65535.0f;
  int code = 0;
  for (int i = 0; i < 255; ++i) code += (map[i] + map[i + 1]) * 0.5f < centre;
  return static_cast<uint8_t>(code);
}

struct Encoded {
  std::vector<uint8_t> codes;
  std::vector<float> absmax;
};

Encoded encode(const std::vector<float>& values, const float* map) {
  Encoded out;
  for (size_t begin = 0; begin < values.size(); begin += LK_STATE_BLOCK) {
    const size_t end = std::min(values.size(), begin + LK_STATE_BLOCK);
    float absmax = 0;
    for (size_t i = begin; i < end; ++i) absmax = std::max(absmax, std::fabs(values[i]));
    out.absmax.push_back(absmax);
    for (size_t i = begin; i < end; ++i) out.codes.push_back(absmax == 0 ? 0 : code_of(map, values[i] * (1 / absmax)));
  }
  return out;
}

AdamwCase eight_bit(lk_dtype dtype = LK_F32) {
  AdamwCase c;
  c.states = LK_STATE_8BIT;
  c.dtype = dtype;
  return c;
}

// A step whose new moments are known to the bit, since the betas are 0: m = g and v = g * g.
void step_from_gradient(Device& device, AdamwTensor& t) {
  lk_adamw_config config = adamw_config();
  config.beta1 = config.beta2 = 0.0f;
  const lk_adamw_param p = t.describe();
  device.kernels->adamw_step(device, config, &p, 1);
}

void check_encoded(const AdamwTensor& t) {
  std::vector<float> m, v;
  for (double g : t.gradient.values()) {
    m.push_back(static_cast<float>(g));
    v.push_back(m.back() * m.back());
  }
  const Encoded first = encode(m, kDynamicMap), second = encode(v, kDynamicMapUnsigned);
  for (size_t i = 0; i < m.size(); ++i) {
    CHECK_TEXT(t.m[i] == first.codes[i], std::to_string(i) + ": code of " + std::to_string(m[i]));
    CHECK_TEXT(t.v[i] == second.codes[i], std::to_string(i) + ": code of " + std::to_string(v[i]));
  }
  CHECK(t.absmax1 == first.absmax && t.absmax2 == second.absmax);
}

}  // namespace

LK_TEST(adamw_8bit_codes_every_bin_of_both_maps) {
  // One element of each block is 1, so that the others are coded as they are; the others go through all bins: of m as they
  // are, of v by their roots.
  std::vector<float> values;
  for (int bin = 0; bin <= 65535; ++bin) {
    const float x = static_cast<float>(2.0 * bin / 65535.0 - 1.0);
    for (float value : {x, std::nextafter(x, 2.0f), std::sqrt(std::fabs(x))}) {
      if (values.size() % LK_STATE_BLOCK == 0) values.push_back(1.0f);
      values.push_back(std::min(1.0f, value));
    }
  }
  for_each_table([&](Device& device) {
    std::mt19937 generator(8);
    AdamwTensor t(generator, static_cast<int64_t>(values.size()), eight_bit());
    std::memcpy(t.gradient.bytes.data(), values.data(), values.size() * sizeof(float));
    step_from_gradient(device, t);
    check_encoded(t);
  });
}

LK_TEST(adamw_8bit_blocks_of_every_magnitude_and_length) {
  for (int64_t n : {1, 15, 255, 256, 257, 300, 512, 4100}) {
    for_each_table([&](Device& device) {
      std::mt19937 generator(9);
      for (float scale : {1.0f, 1e-18f, 3e-12f, 1e18f}) {
        AdamwTensor t(generator, n, eight_bit());
        t.draw_gradient(generator, scale);
        for (int64_t i = 0; i < std::min<int64_t>(n, 256); i += 2) t.gradient.set(0, i, 0);
        step_from_gradient(device, t);
        check_encoded(t);
      }
      AdamwTensor zero(generator, n, eight_bit());  // the gradient is 0
      step_from_gradient(device, zero);
      check_encoded(zero);
      CHECK(std::all_of(zero.m.begin(), zero.m.end(), [](uint8_t code) { return code == 0; }));
    });
  }
}

LK_TEST(adamw_8bit_values_that_are_not_finite_stay_in_their_block) {
  const double poisons[] = {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL,
                            1e30};  // 1e30 squared is none
  for (double poison : poisons) {
    for_each_table([&](Device& device) {
      std::mt19937 generator(10);
      AdamwTensor t(generator, 700, eight_bit());
      t.draw_gradient(generator);
      AdamwTensor clean = t;
      t.gradient.set(0, 300, poison);
      step_from_gradient(device, t);
      step_from_gradient(device, clean);
      CHECK(!std::isfinite(t.absmax1[1]) && !std::isfinite(t.absmax2[1]));
      for (int64_t i = 0; i < 700; ++i) {
        const size_t at = static_cast<size_t>(i);
        if (i / LK_STATE_BLOCK == 1) {
          CHECK(t.m[at] == 0 && t.v[at] == 0);
        } else {
          CHECK(t.m[at] == clean.m[at] && t.v[at] == clean.v[at] && t.parameter.at(0, i) == clean.parameter.at(0, i));
        }
      }
      t.draw_gradient(generator);  // finite again: the lost moments are not taken for zeros
      step_from_gradient(device, t);
      CHECK(!std::isfinite(t.absmax1[1]) && !std::isfinite(t.absmax2[1]));
    });
  }
}

LK_TEST(adamw_8bit_subnormal_blocks_stay_finite) {
  for_each_table([&](Device& device) {
    std::mt19937 generator(11);
    AdamwTensor t(generator, 256, eight_bit());
    t.draw_gradient(generator, 1e-39f);  // the reciprocal of absmax is no float
    step_from_gradient(device, t);
    for (double value : t.first_moment()) CHECK(std::isfinite(value) && std::fabs(value) <= 1e-38);
    for (double value : t.values()) CHECK(std::isfinite(value));
  });
}
