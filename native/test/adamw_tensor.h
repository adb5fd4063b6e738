// A tensor with its gradient and optimiser states, and the same step in float64: what the tests of AdamW share.
#pragma once

#include "lora_kernels_optimizer.h"
#include "test/harness.h"

namespace lk::test {

// One combination of formats and of hyperparameters that a tensor has for itself.
struct AdamwCase {
  lk_dtype dtype = LK_F32, gradient_dtype = LK_F32;
  lk_state_format states = LK_STATE_F32;
  bool master = false;
  float weight_decay = 0.125f, learning_rate_scale = 1.0f;
};

class AdamwTensor {
 public:
  AdamwTensor(std::mt19937& generator, int64_t count, const AdamwCase& c);

  // New gradients in place of the old ones.
  void draw_gradient(std::mt19937& generator, float scale = 1.0f);
  // The whole tensor, or elements [begin, end).
  lk_adamw_param describe() { return describe(0, parameter.cols); }
  lk_adamw_param describe(int64_t begin, int64_t end);
  // p (the master where there is one), m and v as they are stored, widened.
  std::vector<double> values() const;
  std::vector<double> first_moment() const;
  std::vector<double> second_moment() const;
  // Every byte that a step may write.
  std::vector<uint8_t> written() const;

  AdamwCase kind;
  Matrix parameter, gradient, master;
  std::vector<uint8_t> m, v;
  std::vector<float> absmax1, absmax2;

 private:
  std::vector<double> moment(const std::vector<uint8_t>& state, const std::vector<float>& absmax,
                             const float* map) const;
};

// A configuration whose learning rate and betas are decimal numbers, as callers write them.
inline constexpr double kRate = 1e-2, kBeta1 = 0.9, kBeta2 = 0.999;
lk_adamw_config adamw_config();

// The formula of lora_kernels_optimizer.h in float64, over moments given and returned in float64.
void adamw_reference(const lk_adamw_config& config, const AdamwCase& c, const std::vector<double>& gradient,
                     std::vector<double>& p, std::vector<double>& m, std::vector<double>& v);

}  // namespace lk::test
