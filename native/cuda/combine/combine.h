// The entries of this folder: reductions over several tensors, bit for bit those of the CPU backend (products and sums are
// rounded one by one), dot apart, whose sum has another fixed order.
#pragma once

#include "common/device.h"
#include "lora_kernels.h"

namespace lk::cuda {

void combine_linear(Device&, const lk_tensor* inputs, const float* weights, int64_t count, const lk_tensor& out);
void combine_elected(Device&, const lk_tensor* inputs, const float* weights, int64_t count, int32_t election,
                     const lk_tensor& out);
void opposing_signs(Device&, const lk_tensor* inputs, const float* weights, int64_t count, int64_t& opposing,
                    int64_t& nonzero);
double dot(Device&, const lk_tensor& a, const lk_tensor& b);
void keep_ranked(Device&, const lk_tensor& x, int64_t skip, int64_t keep, const lk_tensor& out);
void keep_random(Device&, const lk_tensor& x, const lk_tensor* mask, float density, uint64_t seed, uint64_t step,
                 const lk_tensor& out);
void keep_by_magnitude(Device&, const lk_tensor& x, float density, float epsilon, uint64_t seed, uint64_t step,
                       const lk_tensor& out);

}  // namespace lk::cuda
