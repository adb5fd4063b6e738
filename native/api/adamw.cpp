// lora_kernels_optimizer.h: validate every tensor of the list before the first one is updated.
#include "api/adamw_check.h"
#include "api/guard.h"
#include "api/validate.h"
#include "common/gradient_norm.h"
#include "lora_kernels_optimizer.h"

namespace {

using lk::gradient_report;
using lk::api::AdamwCheck;
using lk::api::Check;
using lk::api::guard;

// The arguments that all calls share.
void check_call(const char* operation, const lk_device* device, const void* config, const void* parameters,
                int64_t count) {
  const Check check(operation);
  check.device(device);
  check.not_null(config, "config");
  check.at_least("count", count, 0);
  if (count > 0) check.not_null(parameters, "parameters");
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
    *report = gradient_report(*device, *config, parameters, count);
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
    *report = gradient_report(*device, *config, parameters, count);
    if (report->skipped || count == 0) return;
    lk_adamw_config scaled = *config;
    scaled.gradient_scale = report->gradient_scale;
    device->kernels->adamw_step(*device, scaled, parameters, count);
  });
}

}  // extern "C"
