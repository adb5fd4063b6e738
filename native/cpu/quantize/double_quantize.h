// Double quantisation: the absmax values of a 4-bit weight, in 8 bits themselves.
#pragma once

#include <cstdint>

#include "lora_kernels.h"

namespace lk::cpu {

// Writes out's absmax_codes, nested_absmax and nested_offset from absmax[0 ... blocks). Rules: native/README.md.
void double_quantize(const float* absmax, int64_t blocks, lk_weight& out);

// The sum of x[0 ... count) in float32, added in the order of torch.sum (one thread).
float torch_sum(const float* x, int64_t count);

}  // namespace lk::cpu
