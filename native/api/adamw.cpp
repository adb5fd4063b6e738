// lora_kernels_optimizer.h: validate every tensor of the list before the first one is updated.
#include <cmath>
#include <vector>

#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"
#include "lora_kernels_optimizer.h"

namespace {

using lk::fail;
using lk::api::Check;
using lk::api::guard;

// torch.nn.utils.clip_grad_norm_ adds this to the norm, so that a norm at the limit is scaled by a hair less than 1.
constexpr double kClippingEpsilon = 1e-6;

// The checks of one operation of this header.
class AdamwCheck {
 public:
  explicit AdamwCheck(const char* operation) : operation_(operation) {}

  void config(const lk_adamw_config& c) const {
    rate("beta1", c.beta1);
    rate("beta2", c.beta2);
    positive("config.learning_rate", c.learning_rate);
    positive("config.epsilon", c.epsilon);
    if (c.step < 1) {
      fail(LK_INVALID_ARGUMENT, "%s: config.step must be at least 1, but is %lld", operation_,
           static_cast<long long>(c.step));
    }
    if (c.decoupled != 0 && c.decoupled != 1) {
      fail(LK_INVALID_ARGUMENT, "%s: config.decoupled must be 1 (AdamW) or 0 (Adam), but is %d", operation_,
           c.decoupled);
    }
    scale(c);
  }

  // What the norm depends on.
  void scale(const lk_adamw_config& c) const {
    if (!std::isfinite(c.gradient_scale)) {
      fail(LK_INVALID_ARGUMENT, "%s: config.gradient_scale must be finite, but is %g", operation_,
           static_cast<double>(c.gradient_scale));
    }
    positive("config.max_gradient_norm", c.max_gradient_norm);
  }

  void gradient(const lk_adamw_param& p, int64_t index) const {
    if (p.count < 0) {
      fail(LK_INVALID_ARGUMENT, "%s: parameters[%lld].count must be at least 0, but is %lld", operation_,
           static_cast<long long>(index), static_cast<long long>(p.count));
    }
    if (!lk::api::is_float(p.gradient_dtype)) {
      fail(LK_UNSUPPORTED, "%s: parameters[%lld].gradient_dtype must be F32, BF16 or F16, but is %s", operation_,
           static_cast<long long>(index), lk::api::dtype_name(p.gradient_dtype));
    }
    address(p, index, "gradient", p.gradient, lk::api::dtype_bytes(p.gradient_dtype));
  }

  void parameter(const lk_adamw_param& p, int64_t index) const {
    const long long i = index;
    gradient(p, index);
    if (p.dtype != LK_F32 && p.dtype != LK_BF16) {
      fail(LK_UNSUPPORTED, "%s: parameters[%lld].dtype must be F32 or BF16, but is %s", operation_, i,
           lk::api::dtype_name(p.dtype));
    }
    if (p.master != 0 && p.dtype != LK_BF16) {
      fail(LK_INVALID_ARGUMENT, "%s: parameters[%lld].master belongs to a BF16 parameter; pass 0 for %s", operation_, i,
           lk::api::dtype_name(p.dtype));
    }
    positive("weight_decay", p.weight_decay, i);
    positive("learning_rate_scale", p.learning_rate_scale, i);
    address(p, index, "parameter", p.parameter, lk::api::dtype_bytes(p.dtype));
    if (p.master != 0) address(p, index, "master", p.master, 4);
    states(p, index);
  }

 private:
  void states(const lk_adamw_param& p, int64_t index) const {
    int64_t bytes = 0;
    switch (p.state_format) {
      case LK_STATE_F32:
        bytes = 4;
        break;
      case LK_STATE_BF16:
        bytes = 2;
        break;
      case LK_STATE_8BIT:
        fail(LK_UNSUPPORTED, "%s: parameters[%lld].state_format LK_STATE_8BIT is not implemented", operation_,
             static_cast<long long>(index));
      default:
        fail(LK_INVALID_ARGUMENT,
             "%s: parameters[%lld].state_format must be LK_STATE_F32, LK_STATE_BF16 or LK_STATE_8BIT, but is %d",
             operation_, static_cast<long long>(index), p.state_format);
    }
    address(p, index, "exp_avg", p.exp_avg, bytes);
    address(p, index, "exp_avg_sq", p.exp_avg_sq, bytes);
  }

  // An address of elements of so many bytes; any one where there are no elements.
  void address(const lk_adamw_param& p, int64_t index, const char* member, lk_address value, int64_t bytes) const {
    if (p.count == 0) return;
    if (value == 0) {
      fail(LK_INVALID_ARGUMENT, "%s: parameters[%lld].%s must have an address, but it is null", operation_,
           static_cast<long long>(index), member);
    }
    if (value % static_cast<lk_address>(bytes) != 0) {
      fail(LK_INVALID_ARGUMENT, "%s: parameters[%lld].%s must be aligned to %lld bytes, but is 0x%llx", operation_,
           static_cast<long long>(index), member, static_cast<long long>(bytes),
           static_cast<unsigned long long>(value));
    }
  }

  void rate(const char* name, float value) const {
    if (!(value >= 0.0f && value < 1.0f)) {
      fail(LK_INVALID_ARGUMENT, "%s: config.%s must be in [0, 1), but is %g", operation_, name,
           static_cast<double>(value));
    }
  }

  void positive(const char* name, float value) const {
    if (!(value >= 0.0f && std::isfinite(value))) {
      fail(LK_INVALID_ARGUMENT, "%s: %s must be at least 0 and finite, but is %g", operation_, name,
           static_cast<double>(value));
    }
  }

  void positive(const char* member, float value, long long index) const {
    if (!(value >= 0.0f && std::isfinite(value))) {
      fail(LK_INVALID_ARGUMENT, "%s: parameters[%lld].%s must be at least 0 and finite, but is %g", operation_, index,
           member, static_cast<double>(value));
    }
  }

  const char* operation_;
};

// The arguments that all calls share.
void check_call(const char* operation, const lk_device* device, const void* config, const void* parameters,
                int64_t count) {
  const Check check(operation);
  check.device(device);
  check.not_null(config, "config");
  check.at_least("count", count, 0);
  if (count > 0) check.not_null(parameters, "parameters");
}

lk_adamw_report measure(lk_device& device, const lk_adamw_config& config, const lk_adamw_param* parameters,
                        int64_t count) {
  std::vector<lk_tensor> gradients(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const lk_adamw_param& p = parameters[i];
    gradients[static_cast<size_t>(i)] = {p.gradient, 1, p.count, p.count, p.gradient_dtype, 0};
  }
  std::vector<double> squares(static_cast<size_t>(count));
  device.kernels->transformer.sums_of_squares(device, gradients.data(), count, squares.data());
  lk_adamw_report report{0.0, -1, config.gradient_scale, 0};
  double total = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const double square = squares[static_cast<size_t>(i)];
    if (!std::isfinite(square) && report.first_non_finite < 0) report.first_non_finite = i;
    total += square;
  }
  report.gradient_norm = std::sqrt(total) * std::fabs(static_cast<double>(config.gradient_scale));
  report.skipped = report.first_non_finite >= 0;
  const double limit = config.max_gradient_norm;
  if (!report.skipped && limit > 0 && limit < report.gradient_norm + kClippingEpsilon) {
    report.gradient_scale =
        static_cast<float>(config.gradient_scale * (limit / (report.gradient_norm + kClippingEpsilon)));
  }
  return report;
}

}  // namespace

extern "C" {

lk_status lk_adamw_step(lk_device* device, const lk_adamw_config* config, const lk_adamw_param* parameters,
                        int64_t count) {
  return guard("lk_adamw_step", [&] {
    check_call("lk_adamw_step", device, config, parameters, count);
    const AdamwCheck check("lk_adamw_step");
    check.config(*config);
    for (int64_t i = 0; i < count; ++i) check.parameter(parameters[i], i);
    Check("lk_adamw_step").implemented(*device, device->kernels->adamw_step);
    if (count > 0) device->kernels->adamw_step(*device, *config, parameters, count);
  });
}

lk_status lk_adamw_gradient_norm(lk_device* device, const lk_adamw_config* config, const lk_adamw_param* parameters,
                                 int64_t count, lk_adamw_report* report) {
  return guard("lk_adamw_gradient_norm", [&] {
    check_call("lk_adamw_gradient_norm", device, config, parameters, count);
    const Check common("lk_adamw_gradient_norm");
    common.not_null(report, "report");
    common.implemented(*device, device->kernels->transformer.sums_of_squares);
    const AdamwCheck check("lk_adamw_gradient_norm");
    check.scale(*config);
    for (int64_t i = 0; i < count; ++i) check.gradient(parameters[i], i);
    *report = measure(*device, *config, parameters, count);
  });
}

lk_status lk_adamw_clipped_step(lk_device* device, const lk_adamw_config* config, const lk_adamw_param* parameters,
                                int64_t count, lk_adamw_report* report) {
  return guard("lk_adamw_clipped_step", [&] {
    check_call("lk_adamw_clipped_step", device, config, parameters, count);
    const Check common("lk_adamw_clipped_step");
    common.not_null(report, "report");
    common.implemented(*device, device->kernels->transformer.sums_of_squares);
    common.implemented(*device, device->kernels->adamw_step);
    const AdamwCheck check("lk_adamw_clipped_step");
    check.config(*config);
    for (int64_t i = 0; i < count; ++i) check.parameter(parameters[i], i);
    *report = measure(*device, *config, parameters, count);
    if (report->skipped || count == 0) return;
    lk_adamw_config scaled = *config;
    scaled.gradient_scale = report->gradient_scale;
    device->kernels->adamw_step(*device, scaled, parameters, count);
  });
}

}  // extern "C"
