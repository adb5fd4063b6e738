#include "common/gradient_norm.h"

#include <cmath>
#include <vector>

#include "common/device.h"

namespace lk {
namespace {

// torch.nn.utils.clip_grad_norm_ adds this to the norm, so that a norm at the limit is scaled by a hair less than 1.
constexpr double kClippingEpsilon = 1e-6;

}  // namespace

lk_adamw_report gradient_report(Device& device, const lk_adamw_config& config, const lk_adamw_param* tensors,
                                int64_t count) {
  std::vector<lk_tensor> gradients(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const lk_adamw_param& p = tensors[i];
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

}  // namespace lk
