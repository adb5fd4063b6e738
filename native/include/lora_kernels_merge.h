/* lora_kernels_merge.h: reductions over several tensors, of which methods that combine adapters and models are made.
 *
 * The conventions of lora_kernels.h hold. All tensors of a call have one shape [rows, cols]; dtypes may differ, arithmetic
 * is F32 and results are rounded once. Elements are counted row-major. `out` may be the memory of an input (same dtype
 * and stride), since an element depends on no other one once a call has chosen what it keeps. Results are bit-identical
 * for any number of threads and on every instruction set, and on a GPU but for lk_dot, whose order of sums is another fixed
 * one. Calls that take several inputs or return a number wait for the GPU.
 */
#ifndef LORA_KERNELS_MERGE_H
#define LORA_KERNELS_MERGE_H

#include "lora_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the sign of an element is elected among several tensors (TIES, Yadav et al. 2023, arXiv:2306.01708). A tie is
 * positive. */
typedef enum lk_sign_election {
  LK_SIGN_TOTAL = 0,    /* sign of the sum of the values */
  LK_SIGN_FREQUENCY = 1 /* sign of the sum of the signs */
} lk_sign_election;

/* out = sum over i of weights[i] * inputs[i], added in the order of i. `inputs` [count] and `weights` [count], host
 * memory; count >= 1. */
LK_API lk_status lk_combine_linear(lk_device* device, const lk_tensor* inputs, const float* weights, int64_t count,
                                   const lk_tensor* out);

/* Disjoint merge of TIES: a sign is elected for every element from the unweighted inputs, and
 *   out = sum over i with sign(inputs[i]) == elected of weights[i] * inputs[i]  /  max(number of these i, 1).
 * election: lk_sign_election. */
LK_API lk_status lk_combine_elected(lk_device* device, const lk_tensor* inputs, const float* weights, int64_t count,
                                    int32_t election, const lk_tensor* out);

/* Ranks the elements of x by magnitude, largest first, equal ones by their index, and keeps those of ranks
 * [skip, skip + keep); the others become 0. By selection, without sorting. NaN counts as larger than infinity.
 * skip = 0: magnitude pruning. skip > 0: the largest are dropped as outliers (breadcrumbs, Davari and Belilovsky 2023,
 * arXiv:2312.06795). 0 <= skip, 0 <= keep, skip + keep <= rows * cols. */
LK_API lk_status lk_keep_ranked(lk_device* device, const lk_tensor* x, int64_t skip, int64_t keep,
                                const lk_tensor* out);

/* Drops elements at random and rescales the rest (DARE, Yu et al. 2023, arXiv:2311.03099): out = x / density where kept,
 * else 0. `mask` gives 1 (kept) or 0 for every element, U8 [rows, cols]; null: element (row, col) is kept where lk_lora's
 * dropout of rate 1 - density, of this seed and step, keeps it. 0 < density <= 1; 1 copies. */
LK_API lk_status lk_keep_random(lk_device* device, const lk_tensor* x, const lk_tensor* mask, float density,
                                uint64_t seed, uint64_t step, const lk_tensor* out);

/* MagPrune of DELLA (Deep et al. 2024, arXiv:2406.11617): in a row of n elements, the one of rank i by magnitude (0 the
 * smallest, equal ones by their index) is kept with probability p = density - epsilon + 2 * epsilon * i / (n - 1), by
 * the words of lk_lora's dropout of this seed and step; out = x / p where kept, else 0. density - epsilon > 0,
 * density + epsilon < 1; fewer than 2^32 columns. A row of one element has p = density. */
LK_API lk_status lk_keep_by_magnitude(lk_device* device, const lk_tensor* x, float density, float epsilon,
                                      uint64_t seed, uint64_t step, const lk_tensor* out);

/* opposing: the number of elements that are positive in one input and negative in another one; nonzero: of elements that
 * are not 0 in at least one. Weights scale an input before: a negative one turns its signs. */
LK_API lk_status lk_opposing_signs(lk_device* device, const lk_tensor* inputs, const float* weights, int64_t count,
                                   int64_t* opposing, int64_t* nonzero);

/* sum over all elements of a * b in float64, in a fixed order. */
LK_API lk_status lk_dot(lk_device* device, const lk_tensor* a, const lk_tensor* b, double* out);

#ifdef __cplusplus
}
#endif

#endif /* LORA_KERNELS_MERGE_H */
