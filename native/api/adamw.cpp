// AdamW: validate every tensor of the list before the first one is updated.
#include <cmath>

#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"

namespace {

using lk::fail;

void check_config(const lk_adamw_config& c) {
  const auto rate = [](const char* name, float value) {
    if (!(value >= 0.0f && value < 1.0f)) {
      fail(LK_INVALID_ARGUMENT, "lk_adamw_step: config.%s must be in [0, 1), but is %g", name,
           static_cast<double>(value));
    }
  };
  const auto positive = [](const char* name, float value) {
    if (!(value >= 0.0f && std::isfinite(value))) {
      fail(LK_INVALID_ARGUMENT, "lk_adamw_step: config.%s must be at least 0 and finite, but is %g", name,
           static_cast<double>(value));
    }
  };
  rate("beta1", c.beta1);
  rate("beta2", c.beta2);
  positive("learning_rate", c.learning_rate);
  positive("epsilon", c.epsilon);
  positive("weight_decay", c.weight_decay);
  if (!std::isfinite(c.gradient_scale)) {
    fail(LK_INVALID_ARGUMENT, "lk_adamw_step: config.gradient_scale must be finite, but is %g",
         static_cast<double>(c.gradient_scale));
  }
  if (c.step < 1) {
    fail(LK_INVALID_ARGUMENT, "lk_adamw_step: config.step must be at least 1, but is %lld",
         static_cast<long long>(c.step));
  }
}

void check_parameter(const lk_adamw_param& p, int64_t index) {
  const long long i = index;
  if (p.count < 0)
    fail(LK_INVALID_ARGUMENT, "lk_adamw_step: parameters[%lld].count must be at least 0, but is %lld", i,
         static_cast<long long>(p.count));
  for (const int32_t dtype : {p.dtype, p.gradient_dtype}) {
    if (dtype != LK_F32 && dtype != LK_BF16) {
      fail(LK_UNSUPPORTED, "lk_adamw_step: parameters[%lld] and its gradient must be F32 or BF16, but one is %s", i,
           lk::api::dtype_name(dtype));
    }
  }
  if (p.count > 0 && (!p.parameter || !p.gradient || !p.exp_avg || !p.exp_avg_sq)) {
    fail(LK_INVALID_ARGUMENT,
         "lk_adamw_step: parameters[%lld] must have addresses of parameter, gradient, exp_avg and exp_avg_sq, but one "
         "is null",
         i);
  }
}

}  // namespace

extern "C" lk_status lk_adamw_step(lk_device* device, const lk_adamw_config* config, const lk_adamw_param* parameters,
                                   int64_t count) {
  return lk::api::guard("lk_adamw_step", [&] {
    const lk::api::Check check("lk_adamw_step");
    check.device(device);
    check.not_null(config, "config");
    check_config(*config);
    if (count < 0)
      fail(LK_INVALID_ARGUMENT, "lk_adamw_step: count must be at least 0, but is %lld", static_cast<long long>(count));
    if (count == 0) return;
    check.not_null(parameters, "parameters");
    for (int64_t i = 0; i < count; ++i) check_parameter(parameters[i], i);
    check.implemented(*device, device->kernels->adamw_step);
    device->kernels->adamw_step(*device, *config, parameters, count);
  });
}
