#include "api/adamw_check.h"

#include <cmath>

#include "api/validate.h"
#include "common/error.h"

namespace lk::api {

void AdamwCheck::config(const lk_adamw_config& c) const {
  rate("beta1", c.beta1);
  rate("beta2", c.beta2);
  positive("config.learning_rate", c.learning_rate);
  positive("config.epsilon", c.epsilon);
  if (c.step < 1) {
    fail(LK_INVALID_ARGUMENT, "%s: config.step must be at least 1, but is %lld", operation_,
         static_cast<long long>(c.step));
  }
  if (c.decoupled != 0 && c.decoupled != 1) {
    fail(LK_INVALID_ARGUMENT, "%s: config.decoupled must be 1 (AdamW) or 0 (Adam), but is %d", operation_, c.decoupled);
  }
  scale(c);
}

void AdamwCheck::scale(const lk_adamw_config& c) const {
  if (!std::isfinite(c.gradient_scale)) {
    fail(LK_INVALID_ARGUMENT, "%s: config.gradient_scale must be finite, but is %g", operation_,
         static_cast<double>(c.gradient_scale));
  }
  positive("config.max_gradient_norm", c.max_gradient_norm);
}

void AdamwCheck::gradient(const lk_adamw_param& p, int64_t index) const {
  if (p.count < 0) {
    fail(LK_INVALID_ARGUMENT, "%s: %s[%lld].count must be at least 0, but is %lld", operation_, list_,
         static_cast<long long>(index), static_cast<long long>(p.count));
  }
  if (!is_float(p.gradient_dtype)) {
    fail(LK_UNSUPPORTED, "%s: %s[%lld].gradient_dtype must be F32, BF16 or F16, but is %s", operation_, list_,
         static_cast<long long>(index), dtype_name(p.gradient_dtype));
  }
  address(p, index, "gradient", p.gradient, dtype_bytes(p.gradient_dtype));
}

void AdamwCheck::tensor(const lk_adamw_param& p, int64_t index) const {
  const long long i = index;
  gradient(p, index);
  if (p.dtype != LK_F32 && p.dtype != LK_BF16) {
    fail(LK_UNSUPPORTED, "%s: %s[%lld].dtype must be F32 or BF16, but is %s", operation_, list_, i,
         dtype_name(p.dtype));
  }
  if (p.master != 0 && p.dtype != LK_BF16) {
    fail(LK_INVALID_ARGUMENT, "%s: %s[%lld].master belongs to a BF16 parameter; pass 0 for %s", operation_, list_, i,
         dtype_name(p.dtype));
  }
  positive("weight_decay", p.weight_decay, i);
  positive("learning_rate_scale", p.learning_rate_scale, i);
  address(p, index, "parameter", p.parameter, dtype_bytes(p.dtype));
  state_bytes(p, index);
}

void AdamwCheck::parameter(const lk_adamw_param& p, int64_t index) const {
  tensor(p, index);
  const int64_t bytes = state_bytes(p, index);
  address(p, index, "exp_avg", p.exp_avg, bytes);
  address(p, index, "exp_avg_sq", p.exp_avg_sq, bytes);
  if (p.state_format == LK_STATE_8BIT) {
    address(p, index, "absmax1", p.absmax1, 4);
    address(p, index, "absmax2", p.absmax2, 4);
  }
  if (p.master != 0) address(p, index, "master", p.master, 4);
}

int64_t AdamwCheck::state_bytes(const lk_adamw_param& p, int64_t index) const {
  switch (p.state_format) {
    case LK_STATE_F32:
      return 4;
    case LK_STATE_BF16:
      return 2;
    case LK_STATE_8BIT:
      return 1;
    default:
      fail(LK_INVALID_ARGUMENT,
           "%s: %s[%lld].state_format must be LK_STATE_F32, LK_STATE_BF16 or LK_STATE_8BIT, but is %d", operation_,
           list_, static_cast<long long>(index), p.state_format);
  }
}

void AdamwCheck::address(const lk_adamw_param& p, int64_t index, const char* member, lk_address value,
                         int64_t bytes) const {
  if (p.count == 0) return;
  if (value == 0) {
    fail(LK_INVALID_ARGUMENT, "%s: %s[%lld].%s must have an address, but it is null", operation_, list_,
         static_cast<long long>(index), member);
  }
  if (value % static_cast<lk_address>(bytes) != 0) {
    fail(LK_INVALID_ARGUMENT, "%s: %s[%lld].%s must be aligned to %lld bytes, but is 0x%llx", operation_, list_,
         static_cast<long long>(index), member, static_cast<long long>(bytes), static_cast<unsigned long long>(value));
  }
}

void AdamwCheck::rate(const char* name, float value) const {
  if (!(value >= 0.0f && value < 1.0f)) {
    fail(LK_INVALID_ARGUMENT, "%s: config.%s must be in [0, 1), but is %g", operation_, name,
         static_cast<double>(value));
  }
}

void AdamwCheck::positive(const char* name, float value) const {
  if (!(value >= 0.0f && std::isfinite(value))) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must be at least 0 and finite, but is %g", operation_, name,
         static_cast<double>(value));
  }
}

void AdamwCheck::positive(const char* member, float value, long long index) const {
  if (!(value >= 0.0f && std::isfinite(value))) {
    fail(LK_INVALID_ARGUMENT, "%s: %s[%lld].%s must be at least 0 and finite, but is %g", operation_, list_, index,
         member, static_cast<double>(value));
  }
}

}  // namespace lk::api
