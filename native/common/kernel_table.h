// The one table through which every operation is dispatched. A backend fills it, scalar entries first, and faster entries
// override them; the C API validates, then calls through the table of the device. Entries:
//  - get arguments that are already validated (shapes fit, addresses not null, dtypes known), so they check nothing;
//  - may throw lk::Error (out of memory for a workspace), nothing else;
//  - return when the work is done (CPU) or queued on the device's stream (CUDA).
#pragma once

#include "lora_kernels.h"
#include "lora_kernels_merge.h"
#include "lora_kernels_optimizer.h"
#include "lora_kernels_transformer.h"

namespace lk {

using Device = ::lk_device;

// The entries of lora_kernels_transformer.h. One that a backend lacks is null, and the API answers LK_UNSUPPORTED. What
// stands in I32 tensors (ids, positions, labels, sequences) is validated by the API on the CPU alone, where it can be read;
// entries of other backends check it themselves.
struct TransformerKernels {
  // Elementwise entries may work in place, see the header.
  void (*add)(Device&, const lk_tensor& a, const lk_tensor& b, const lk_tensor& out);
  void (*scale)(Device&, const lk_tensor& x, float factor, const lk_tensor& out);
  void (*softcap)(Device&, const lk_tensor& x, float cap, const lk_tensor& out);
  void (*glu)(Device&, int32_t activation, const lk_tensor& gate, const lk_tensor& up, const lk_tensor& out);
  void (*glu_backward)(Device&, int32_t activation, const lk_tensor& gate, const lk_tensor& up, const lk_tensor& dout,
                       const lk_tensor& dgate, const lk_tensor& dup);
  // inverse_rms may be null
  void (*rms_norm)(Device&, const lk_tensor& x, const lk_tensor& weight, float weight_offset, float epsilon,
                   const lk_tensor& y, const lk_tensor* inverse_rms);
  // dx or dweight may be null
  void (*rms_norm_backward)(Device&, const lk_tensor& x, const lk_tensor& dy, const lk_tensor& weight,
                            float weight_offset, const lk_tensor& inverse_rms, bool accumulate, const lk_tensor* dx,
                            const lk_tensor* dweight);
  void (*rope)(Device&, const lk_tensor& x, int64_t head_dim, const lk_tensor& position_ids, const lk_tensor& cos,
               const lk_tensor& sin, int32_t direction);
  // log_sum_exp may be null
  void (*attention_forward)(Device&, const lk_attention& attention, const lk_tensor& y, const lk_tensor* log_sum_exp);
  void (*attention_backward)(Device&, const lk_attention& attention, const lk_tensor& y, const lk_tensor& dy,
                             const lk_tensor& log_sum_exp, const lk_tensor& dq, const lk_tensor& dk,
                             const lk_tensor& dv);
  void (*embedding)(Device&, const lk_tensor& ids, const lk_tensor& table, float scale, const lk_tensor& out);
  void (*embedding_backward)(Device&, const lk_tensor& ids, const lk_tensor& dy, float scale, const lk_tensor& dtable);
  // weights, dx, dweight and predictions may have data 0
  void (*linear_cross_entropy)(Device&, const lk_cross_entropy& arguments);
  void (*weight_gradient)(Device&, const lk_tensor& x, const lk_tensor& dy, const lk_tensor& dweight);
  // b may be null
  void (*column_sums)(Device&, const lk_tensor& a, const lk_tensor* b, const lk_tensor& out);
  // bias may be null
  void (*scale_columns)(Device&, const lk_tensor& x, const lk_tensor& factors, const lk_tensor* bias,
                        const lk_tensor& out);
  // lora may be null
  void (*row_norms)(Device&, const lk_weight& weight, const lk_lora* lora, const lk_tensor& out);
  // tensors may be empty
  void (*sums_of_squares)(Device&, const lk_tensor* tensors, int64_t count, double* sums);
};

struct KernelTable {
  const char* name;  // "scalar", "avx2", ...

  void (*quantize)(Device&, const lk_tensor& source, lk_weight& out);
  void (*dequantize)(Device&, const lk_weight& weight, const lk_tensor& out);
  void (*convert)(Device&, const lk_tensor& source, const lk_tensor& out);
  void (*dropout)(Device&, const lk_tensor& x, const lk_lora& lora, const lk_tensor& out);
  // bias is null or has data; y may have another dtype than x
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

  TransformerKernels transformer;
};

}  // namespace lk
