/* lora_kernels_optimizer.h: AdamW and Adam over all tensors of a step.
 *
 * The conventions of lora_kernels.h hold. An element depends on no other one (8-bit states: on no other block), so that
 * slices of a tensor, its pages, are updated to the same bits as the whole, in any order.
 */
#ifndef LORA_KERNELS_OPTIMIZER_H
#define LORA_KERNELS_OPTIMIZER_H

#include "lora_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the two moments of a tensor are stored.
 *
 * LK_STATE_F32, LK_STATE_BF16: [count] each. BF16 moments are computed in F32 and rounded once, to nearest even.
 *
 * LK_STATE_8BIT: bitsandbytes' blockwise format (Dettmers et al. 2021, arXiv:2110.02861): U8 codes [count] in blocks of
 * LK_STATE_BLOCK elements, each with an F32 absmax; moment = map[code] * absmax, where the map of m is lk_dynamic_map()
 * and that of v lk_dynamic_map_unsigned(). Codes of zeroed memory with absmax 0 are moments of zero. native/README.md has
 * the rounding. */
typedef enum lk_state_format { LK_STATE_F32 = 0, LK_STATE_BF16 = 1, LK_STATE_8BIT = 2 } lk_state_format;

/* Elements that share one absmax in LK_STATE_8BIT. */
#define LK_STATE_BLOCK 256

/* AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101; Adam: Kingma and Ba 2015, arXiv:1412.6980; both in torch's order.
 * With g the scaled gradient, lr = learning_rate * learning_rate_scale of the tensor, and wd its weight decay:
 *   AdamW: p *= 1 - lr * wd;    Adam: g += wd * p;    then
 *   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 *   p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon).
 * Arithmetic in F32; p is the master where there is one. The step uses m and v before they are rounded to their format. */
typedef struct lk_adamw_config {
  float learning_rate, beta1, beta2, epsilon;
  float gradient_scale;    /* gradients are multiplied by it first (the inverse of a loss scale); 1 = none */
  float max_gradient_norm; /* of lk_adamw_gradient_norm and lk_adamw_clipped_step; 0 = no clipping */
  int64_t step;            /* t, from 1 */
  int32_t decoupled;       /* 1: AdamW, 0: Adam */
  int32_t reserved;
} lk_adamw_config;

/* A tensor, or a slice of one. Slices in LK_STATE_8BIT begin at multiples of LK_STATE_BLOCK elements of their tensor and,
 * but for the last one, hold whole blocks. Addresses are aligned to their elements. */
typedef struct lk_adamw_param {
  lk_address parameter;   /* dtype [count], updated */
  lk_address gradient;    /* gradient_dtype [count] */
  lk_address exp_avg;     /* m in state_format [count], updated */
  lk_address exp_avg_sq;  /* v in state_format [count], updated */
  lk_address absmax1;     /* LK_STATE_8BIT: of m, F32 [ceil(count / LK_STATE_BLOCK)], updated; else ignored */
  lk_address absmax2;     /* LK_STATE_8BIT: of v, as absmax1 */
  lk_address master;      /* of a BF16 parameter: its value in F32 [count], updated; the parameter becomes its rounding
                                and is not read. 0 = none */
  int64_t count;          /* elements */
  int32_t dtype;          /* LK_F32 or LK_BF16 */
  int32_t gradient_dtype; /* LK_F32, LK_BF16 or LK_F16 */
  int32_t state_format;   /* lk_state_format */
  float weight_decay;     /* of this tensor */
  float learning_rate_scale; /* of this tensor, times config.learning_rate; 1 = none */
  int32_t reserved;
} lk_adamw_param;

/* What the gradients of a step were like. */
typedef struct lk_adamw_report {
  double gradient_norm;     /* 2-norm of all gradients together times |gradient_scale|, before clipping; NaN or infinite
                               where a gradient is */
  int64_t first_non_finite; /* index of the first tensor with a gradient that is not finite; -1: none */
  float gradient_scale; /* config.gradient_scale, times max_gradient_norm / (gradient_norm + 1e-6) where that is below 1
                               (torch.nn.utils.clip_grad_norm_): what gradients are multiplied by */
  int32_t skipped;      /* 1: a gradient is not finite, and nothing was updated; else 0 */
} lk_adamw_report;

/* One step over `count` tensors in one call, with gradients times config.gradient_scale as they are: no norm is taken. */
LK_API lk_status lk_adamw_step(lk_device* device, const lk_adamw_config* config, const lk_adamw_param* parameters,
                               int64_t count);
/* The norm of all gradients, and what a step makes of it; updates nothing. Of each tensor, gradient, gradient_dtype and
 * count are read. Whoever updates pages one after another asks here first, with whole tensors, and then calls
 * lk_adamw_step with report->gradient_scale. `report`: host memory, written. */
LK_API lk_status lk_adamw_gradient_norm(lk_device* device, const lk_adamw_config* config,
                                        const lk_adamw_param* parameters, int64_t count, lk_adamw_report* report);
/* Both in one call: norm, clipping, then the step, or no step at all where a gradient is not finite (LK_OK; the report says
 * so). `report`: host memory, written. */
LK_API lk_status lk_adamw_clipped_step(lk_device* device, const lk_adamw_config* config,
                                       const lk_adamw_param* parameters, int64_t count, lk_adamw_report* report);

#ifdef __cplusplus
}
#endif

#endif /* LORA_KERNELS_OPTIMIZER_H */
