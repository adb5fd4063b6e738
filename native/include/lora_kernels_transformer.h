/* lora_kernels_transformer.h: what a decoder-only transformer needs beside its projections. The conventions of
 * lora_kernels.h hold: descriptors, addresses, statuses, determinism.
 *
 * Activations are F32, BF16 or F16, one dtype in a call unless an argument says otherwise; arithmetic and sums are F32,
 * rounded once to the output's dtype. Tokens are rows. "Added to" (+=) means that the output must hold something already.
 * Integer tensors are lk_tensor of LK_I32. The CPU backend checks their values before it does anything: one out of range is
 * LK_INVALID_ARGUMENT that names its place. CUDA queues the operation, whose kernels leave out what such a value stands for
 * (that token's row is not written, or not added; a label counts as none; a sequence is no sequence) and stay inside the
 * tensors; the next call on the device that waits for it (a copy, lk_device_synchronize, one that returns a value) gives the
 * same error, once, for one such value of all operations before.
 */
#ifndef LORA_KERNELS_TRANSFORMER_H
#define LORA_KERNELS_TRANSFORMER_H

#include "lora_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- elementwise ----------------------------------------------------------------------------------------------- */

/* out = a + b, [rows, cols] each; out may be a or b. Residual connections and their gradients. */
LK_API lk_status lk_add(lk_device* device, const lk_tensor* a, const lk_tensor* b, const lk_tensor* out);
/* out = factor * x; out may be x. */
LK_API lk_status lk_scale(lk_device* device, const lk_tensor* x, float factor, const lk_tensor* out);
/* out = cap * tanh(x / cap), cap > 0; out may be x. Soft capping of logits: Gemma 2, arXiv:2408.00118. */
LK_API lk_status lk_softcap(lk_device* device, const lk_tensor* x, float cap, const lk_tensor* out);

typedef enum lk_activation {
  LK_SILU = 0,      /* g * sigmoid(g) */
  LK_GELU_TANH = 1, /* 0.5 g (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))) */
  LK_GELU = 2       /* 0.5 g (1 + erf(g / sqrt(2))) */
} lk_activation;

/* out = activation(gate) * up, [tokens, intermediate] each. SwiGLU and GeGLU: Shazeer 2020, arXiv:2002.05202. */
LK_API lk_status lk_glu(lk_device* device, int32_t activation, const lk_tensor* gate, const lk_tensor* up,
                        const lk_tensor* out);
/* dgate = dout * up * activation'(gate), dup = dout * activation(gate). dgate may be gate or dout, dup may be up or dout
 * (not both dout): an element is read before it is written. */
LK_API lk_status lk_glu_backward(lk_device* device, int32_t activation, const lk_tensor* gate, const lk_tensor* up,
                                 const lk_tensor* dout, const lk_tensor* dgate, const lk_tensor* dup);

/* ---- normalisation --------------------------------------------------------------------------------------------- */

/* y = x * inverse_rms * (weight + weight_offset) by rows, inverse_rms = 1 / sqrt(mean(x^2) + epsilon). Zhang and Sennrich
 * 2019, arXiv:1910.07467. x, y [rows, cols]; weight [1, cols] F32, BF16 or F16; weight_offset 0, or 1 where weights are
 * stored as differences from 1 (Gemma); inverse_rms F32 [1, rows], written; null: not wanted. y may be x. */
LK_API lk_status lk_rms_norm(lk_device* device, const lk_tensor* x, const lk_tensor* weight, float weight_offset,
                             float epsilon, const lk_tensor* y, const lk_tensor* inverse_rms);
/* With h = x * inverse_rms and g = dy * (weight + weight_offset): dx = inverse_rms * (g - h * mean(g * h)), added to dx
 * where accumulate != 0; dweight += sum over rows of dy * h. dx null: not wanted; dx may be dy where accumulate == 0.
 * dweight F32 [1, cols]; null: not wanted. */
LK_API lk_status lk_rms_norm_backward(lk_device* device, const lk_tensor* x, const lk_tensor* dy,
                                      const lk_tensor* weight, float weight_offset, const lk_tensor* inverse_rms,
                                      int32_t accumulate, const lk_tensor* dx, const lk_tensor* dweight);

/* ---- positions ------------------------------------------------------------------------------------------------- */

/* Rotary embedding in Hugging Face's half-split form (Su et al. 2021, arXiv:2104.09864), in place, for every head of
 * x [tokens, heads * head_dim]: with i < head_dim / 2, (x_i, x_{i + head_dim/2}) is rotated by the angle whose cosine and
 * sine are cos[position, i], sin[position, i]. cos, sin: F32 [positions, head_dim / 2] (scaling of frequencies and
 * attention is the caller's); position_ids I32 [1, tokens], each in [0, positions). direction 1 rotates, -1 rotates
 * back: the gradient. */
LK_API lk_status lk_rope(lk_device* device, const lk_tensor* x, int64_t head_dim, const lk_tensor* position_ids,
                         const lk_tensor* cos, const lk_tensor* sin, int32_t direction);

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* Causal attention of grouped heads over sequences of any length, tiled with an online softmax: no [tokens, tokens]
 * matrix exists (Dao et al. 2022, arXiv:2205.14135). Query head h reads key and value head h / (heads / kv_heads).
 *
 * sequences I32 [count, 4]: {first query row, queries, first key row, keys} of each sequence, queries <= keys. Query i
 * of a sequence stands at position keys - queries + i and sees the keys at positions <= its own; with window > 0, only
 * the last `window` of those, its own included. Sequences stand in the order of their query rows, which do not overlap;
 * forward may share key rows between them, backward may not (there, key rows are in order too). Rows that belong to no
 * sequence get nothing written. */
typedef struct lk_attention {
  lk_tensor q;             /* [query rows, heads * head_dim] */
  lk_tensor k, v;          /* [key rows, kv_heads * head_dim] */
  lk_tensor sequences;     /* I32 [count, 4] */
  int64_t heads, kv_heads; /* kv_heads divides heads */
  int64_t head_dim;        /* 1 ... 512 */
  int64_t window;          /* 0: all earlier keys */
  float scale;             /* of q·k, usually 1 / sqrt(head_dim) */
  float softcap;           /* 0: none; else scores become softcap * tanh(score / softcap) */
} lk_attention;

/* y [query rows, heads * head_dim]; log_sum_exp F32 [query rows, heads], written, what backward needs; null: not wanted. */
LK_API lk_status lk_attention_forward(lk_device* device, const lk_attention* attention, const lk_tensor* y,
                                      const lk_tensor* log_sum_exp);
/* dq, dk, dv have the shapes of q, k, v and are overwritten in the rows of the sequences. Scores are made again. */
LK_API lk_status lk_attention_backward(lk_device* device, const lk_attention* attention, const lk_tensor* y,
                                       const lk_tensor* dy, const lk_tensor* log_sum_exp, const lk_tensor* dq,
                                       const lk_tensor* dk, const lk_tensor* dv);

/* ---- vocabulary ------------------------------------------------------------------------------------------------ */

/* out[t] = scale * table[ids[t]]; ids I32 [1, tokens] in [0, vocabulary), table [vocabulary, hidden] F32, BF16 or F16,
 * out [tokens, hidden] of any float dtype. */
LK_API lk_status lk_embedding(lk_device* device, const lk_tensor* ids, const lk_tensor* table, float scale,
                              const lk_tensor* out);
/* dtable F32 [vocabulary, hidden] += scale * dy by rows, in the order of the tokens. */
LK_API lk_status lk_embedding_backward(lk_device* device, const lk_tensor* ids, const lk_tensor* dy, float scale,
                                       const lk_tensor* dtable);

/* The language-model head and its loss in one: logits [tokens, vocabulary] = x * W^T exist in slices of rows alone,
 * which take at most 16 MiB of workspace, products included; on CUDA 1/512 of the GPU's memory (16 MiB at least), and what
 * products take (one row, where a row needs more). Ignored tokens cost nothing on the CPU, and on CUDA, which learns of them
 * too late, what others cost.
 *   loss[t] = log(sum over v of exp(z[t, v])) - z[t, label[t]],  z = logits, or softcap * tanh(logits / softcap). */
typedef struct lk_cross_entropy {
  lk_tensor x;       /* [tokens, hidden], float */
  lk_weight weight;  /* [vocabulary, hidden], dense or 4-bit */
  lk_tensor labels;  /* I32 [1, tokens] in [0, vocabulary), or negative: ignored */
  lk_tensor weights; /* F32 [1, tokens], factor of the gradient of each token (the loss is not scaled); data 0: all 1 */
  float softcap;     /* 0: none */
  float gradient_scale;  /* of dx and dweight; 1 / labelled tokens for the mean */
  lk_tensor loss;        /* F32 [1, tokens], written; 0 where ignored */
  lk_tensor dx;          /* [tokens, hidden], dtype of x, overwritten; data 0: not wanted */
  lk_tensor dweight;     /* F32 [vocabulary, hidden], added to; data 0: not wanted */
  lk_tensor predictions; /* I32 [1, tokens], the most probable id (the lowest of equals), -1 where ignored; data 0: not
                            wanted */
} lk_cross_entropy;

LK_API lk_status lk_linear_cross_entropy(lk_device* device, const lk_cross_entropy* arguments);

/* ---- training -------------------------------------------------------------------------------------------------- */

/* dweight F32 [N, K] += dy^T [N, M] * x [M, K]: the gradient of a dense weight, in a fixed order. */
LK_API lk_status lk_weight_gradient(lk_device* device, const lk_tensor* x, const lk_tensor* dy,
                                    const lk_tensor* dweight);
/* out F32 [1, cols] += sum over rows of a * b, [rows, cols] each; b null: of a alone (the gradient of a bias). */
LK_API lk_status lk_column_sums(lk_device* device, const lk_tensor* a, const lk_tensor* b, const lk_tensor* out);
/* out = x * factors + bias by columns; factors F32 [1, cols]; bias as in lk_matmul, null: none; out may be x. */
LK_API lk_status lk_scale_columns(lk_device* device, const lk_tensor* x, const lk_tensor* factors,
                                  const lk_tensor* bias, const lk_tensor* out);
/* out F32 [1, N] = norms of the rows of weight + scaling * B * A, which exist in slices alone. lora null: of the weight.
 * DoRA: Liu et al. 2024, arXiv:2402.09353. */
LK_API lk_status lk_row_norms(lk_device* device, const lk_weight* weight, const lk_lora* lora, const lk_tensor* out);
/* sums[i] = sum of squares of tensor i in float64, in a fixed order; host memory [count], so that CUDA waits for the device
 * (once for all tensors). NaN and infinities show. */
LK_API lk_status lk_sums_of_squares(lk_device* device, const lk_tensor* tensors, int64_t count, double* sums);

#ifdef __cplusplus
}
#endif

#endif /* LORA_KERNELS_TRANSFORMER_H */
