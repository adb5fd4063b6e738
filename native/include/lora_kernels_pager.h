/* lora_kernels_pager.h: AdamW whose states live in pages that move between memory and a scratch file.
 *
 * The conventions of lora_kernels.h hold. A pager owns the states of the tensors that are registered with it, not the
 * tensors. As many pages as its budget allows are resident; the others stream through a ring of buffers in every step: read
 * ahead, updated, written behind. Where pages are never changes a result: any page size and budget give the same bits.
 *
 * A step is all or nothing. After a failure (a file that cannot be read or written or was truncated, no memory, a
 * cancellation), parameters and states are as before it, and the message names the tier and the page. Where undoing fails
 * too, or a page's only copy is gone, the message says so, and what to do.
 *
 * The scratch file has no name and is never needed again: states are kept with lk_pager_read and lk_pager_import.
 */
#ifndef LORA_KERNELS_PAGER_H
#define LORA_KERNELS_PAGER_H

#include "lora_kernels.h"
#include "lora_kernels_optimizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- budgets --------------------------------------------------------------------------------------------------- */

/* Memory for the states of one pager or of several that share it. Fair: each gets what it cannot do without, and of the rest
 * a share in proportion to the bytes of its states; what one does not need goes to the others. Shares change when tensors
 * are registered or dropped and when a pager is closed. */
typedef struct lk_budget lk_budget;

typedef struct lk_budget_info {
  int64_t bytes;      /* what there is; -1: no limit */
  int64_t used_bytes; /* resident pages and buffers of all pagers; at most `bytes` */
  int64_t pagers;     /* that share it */
} lk_budget_info;

/* device_bytes, host_bytes: memory of the device and host memory for states; -1 = no limit. On the CPU backend both tiers are
 * one: its budget is their sum, or the one that has a limit. */
LK_API lk_status lk_budget_open(int64_t device_bytes, int64_t host_bytes, lk_budget** out);
/* Frees the handle; pagers that share it keep it alive. Null is allowed. */
LK_API lk_status lk_budget_close(lk_budget* budget);
LK_API lk_status lk_budget_query(lk_budget* budget, lk_budget_info* out);

/* ---- pagers ---------------------------------------------------------------------------------------------------- */

typedef struct lk_pager lk_pager;

/* A tensor to optimise. The memory it names must stay valid until it is dropped or the pager is closed. */
typedef struct lk_pager_tensor {
  lk_address parameter;   /* dtype [count], updated by steps */
  lk_address gradient;    /* gradient_dtype [count], read by steps */
  int64_t count;          /* elements */
  int32_t dtype;          /* LK_F32 or LK_BF16 */
  int32_t gradient_dtype; /* LK_F32, LK_BF16 or LK_F16 */
  int32_t state_format;   /* lk_state_format */
  int32_t
      master_weights; /* 1: keep the value of a BF16 parameter in F32 among the states, see lk_adamw_param; else 0 */
  float weight_decay; /* as in lk_adamw_param */
  float learning_rate_scale; /* as in lk_adamw_param */
} lk_pager_tensor;

/* The states of a tensor, by part; dtypes and sizes as in lk_adamw_param. */
typedef enum lk_state_part {
  LK_PART_EXP_AVG = 0,
  LK_PART_EXP_AVG_SQ = 1,
  LK_PART_ABSMAX1 = 2, /* LK_STATE_8BIT alone */
  LK_PART_ABSMAX2 = 3,
  LK_PART_MASTER = 4 /* with master_weights alone */
} lk_state_part;

/* What a pager has and did since it was opened. Bytes and times are sums over steps. */
typedef struct lk_pager_stats {
  int64_t state_bytes;    /* of all pages */
  int64_t resident_bytes; /* of pages in memory */
  int64_t file_bytes;     /* of pages in the file */
  int64_t buffer_bytes;   /* of the ring that file pages stream through */
  int64_t pages, resident_pages;
  int64_t steps, skipped_steps;      /* steps taken, and those skipped since a gradient was not finite */
  int64_t undone_steps;              /* steps that failed and were undone */
  int64_t read_bytes, written_bytes; /* of states, from and to the file */
  int64_t undo_bytes;                /* of parameters, written so that a step can be undone */
  int64_t prefetch_hits;             /* file pages that were in memory when their update was due */
  int64_t stalls;                    /* file pages that had to be waited for */
  int64_t stall_nanoseconds;         /* time waited, for pages and for buffers */
  int64_t update_nanoseconds;        /* time in kernels */
  int64_t copy_nanoseconds; /* time of reading, writing and checking pages, summed over the threads that do it */
  int64_t evicted_pages, promoted_pages; /* that changed tier when shares changed */
} lk_pager_stats;

/* Opens a pager without tensors.
 * budget: null = no limit. spill_directory_utf8: where its scratch files are made when states exceed the budget; null =
 * nowhere: states that exceed it are LK_OUT_OF_MEMORY. page_bytes: a multiple of 4096; 0 = the default (2 MiB).
 * ring_pages: buffers that file pages stream through, if the budget has room for them; 1 = neither read ahead nor write
 * behind; 0 = the default (8). */
LK_API lk_status lk_pager_open(lk_device* device, lk_budget* budget, const char* spill_directory_utf8,
                               int64_t page_bytes, int32_t ring_pages, lk_pager** out);
/* Frees the states. To be called after the last other call has returned; null is allowed. */
LK_API lk_status lk_pager_close(lk_pager* pager);
/* From any thread: a step that runs is undone and fails with LK_CANCELLED, unless it is past its last page of the file and
 * completes; later steps fail. */
LK_API lk_status lk_pager_cancel(lk_pager* pager);

/* Registers tensors with states of zero. All or none. Their numbers are *first_tensor, *first_tensor + 1, ...; numbers are
 * never used again. What other pagers hold of a shared budget beyond their new shares is moved to their files first. */
LK_API lk_status lk_pager_register(lk_pager* pager, const lk_pager_tensor* tensors, int64_t count,
                                   int64_t* first_tensor);
/* Forgets a tensor and its states. */
LK_API lk_status lk_pager_drop(lk_pager* pager, int64_t tensor);

/* One step over all tensors. Of `config`, all is read. report: null = no norm is taken and max_gradient_norm is ignored;
 * otherwise as lk_adamw_clipped_step, its tensor being a number of lk_pager_register. */
LK_API lk_status lk_pager_step(lk_pager* pager, const lk_adamw_config* config, lk_adamw_report* report);

/* Copies bytes [begin, begin + bytes) of a part of a tensor's states to host memory. */
LK_API lk_status lk_pager_read(lk_pager* pager, int64_t tensor, int32_t part, int64_t begin, int64_t bytes,
                               lk_address destination);
/* Replaces all states of `count` tensors, all or none. states[i] names those of tensors[i] whole, in host memory: exp_avg,
 * exp_avg_sq, absmax1, absmax2 and master as the tensor has them; the rest of it is ignored. */
LK_API lk_status lk_pager_import(lk_pager* pager, const int64_t* tensors, const lk_adamw_param* states, int64_t count);

LK_API lk_status lk_pager_query(lk_pager* pager, lk_pager_stats* out);

#ifdef __cplusplus
}
#endif

#endif /* LORA_KERNELS_PAGER_H */
