// The entries of this folder.
#pragma once

#include "common/kernel_table.h"

namespace lk::cuda {

void column_sums(Device& device, const lk_tensor& a, const lk_tensor* b, const lk_tensor& out);
void scale_columns(Device& device, const lk_tensor& x, const lk_tensor& factors, const lk_tensor* bias,
                   const lk_tensor& out);
void sums_of_squares(Device& device, const lk_tensor* tensors, int64_t count, double* sums);

}  // namespace lk::cuda
