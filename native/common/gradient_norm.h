// What the gradients of a step are like all together, and what the step makes of it.
#pragma once

#include "common/kernel_table.h"

namespace lk {

// The norm of all gradients, whether one is not finite, and the factor that clips them: see lk_adamw_report. Of each tensor,
// gradient, gradient_dtype and count are read. The table has sums_of_squares.
lk_adamw_report gradient_report(Device& device, const lk_adamw_config& config, const lk_adamw_param* tensors,
                                int64_t count);

}  // namespace lk
