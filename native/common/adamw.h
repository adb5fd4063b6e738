// What the arithmetic of AdamW needs that does not depend on the element: formed once for each tensor, in float64, and rounded
// once. lora_kernels_optimizer.h has the formula, cpu/adamw/update.inl and cuda/adamw/adamw.cu the order of an element.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "lora_kernels_optimizer.h"

namespace lk {

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

}  // namespace lk
