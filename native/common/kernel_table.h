// The one table through which every operation is dispatched. A backend fills it, scalar entries first, and faster entries
// override them; the C API validates, then calls through the table of the device. Entries:
//  - get arguments that are already validated (shapes fit, addresses not null, dtypes known), so they check nothing;
//  - may throw lk::Error (out of memory for a workspace), nothing else;
//  - return when the work is done (CPU) or queued on the device's stream (CUDA).
#pragma once

#include "lora_kernels.h"
#include "lora_kernels_merge.h"

namespace lk {

struct Device;

struct KernelTable {
  const char* name;  // "scalar", "avx2", ...

  void (*quantize)(Device&, const lk_tensor& source, lk_weight& out);
  void (*dequantize)(Device&, const lk_weight& weight, const lk_tensor& out);
  void (*convert)(Device&, const lk_tensor& source, const lk_tensor& out);
  void (*dropout)(Device&, const lk_tensor& x, const lk_lora& lora, const lk_tensor& out);
  // bias is null or has data
  void (*matmul)(Device&, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias, const lk_tensor& y);
  void (*matmul_transposed)(Device&, const lk_tensor& dy, const lk_weight& weight, const lk_tensor& dx);
  void (*lora_forward)(Device&, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias, const lk_lora& lora,
                       const lk_tensor& y);
  // dx may be null; grad_a and grad_b of lora may have data 0
  void (*lora_backward)(Device&, const lk_tensor& x, const lk_tensor& dy, const lk_weight& weight, const lk_lora& lora,
                        const lk_tensor* dx);
  void (*merge)(Device&, const lk_weight& weight, const lk_lora& lora, float sign, const lk_tensor& out);
  void (*merge_quantized)(Device&, const lk_weight& weight, const lk_lora& lora, float sign, lk_weight& out);
  void (*adamw_step)(Device&, const lk_adamw_config& config, const lk_adamw_param* parameters, int64_t count);

  // lora_kernels_merge.h
  void (*combine_linear)(Device&, const lk_tensor* inputs, const float* weights, int64_t count, const lk_tensor& out);
  void (*combine_elected)(Device&, const lk_tensor* inputs, const float* weights, int64_t count, int32_t election,
                          const lk_tensor& out);
  void (*keep_ranked)(Device&, const lk_tensor& x, int64_t skip, int64_t keep, const lk_tensor& out);
  // mask may be null
  void (*keep_random)(Device&, const lk_tensor& x, const lk_tensor* mask, float density, uint64_t seed, uint64_t step,
                      const lk_tensor& out);
  void (*keep_by_magnitude)(Device&, const lk_tensor& x, float density, float epsilon, uint64_t seed, uint64_t step,
                            const lk_tensor& out);
  void (*opposing_signs)(Device&, const lk_tensor* inputs, const float* weights, int64_t count, int64_t& opposing,
                         int64_t& nonzero);
  double (*dot)(Device&, const lk_tensor& a, const lk_tensor& b);
};

}  // namespace lk
