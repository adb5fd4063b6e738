/* lora_kernels.h: the C ABI of LoraKernels. Java sees the lora_kernels*.h headers of this folder, and no others.
 *
 * Conventions, true for every function unless it says otherwise:
 *
 *  - Every function that can fail returns an lk_status. The message of the last failure on the calling thread is
 *    lk_last_error(); it names the operation, the argument, what was expected and what was given.
 *  - Nothing aborts, exits, prints or throws. Arguments are validated before any work is done, and a call that fails in
 *    validation has written nothing.
 *  - Memory is named by lk_address: the address of a byte on the device, as an integer, since it need not be an address
 *    of this process. On the CPU backend it is the pointer itself. 0 means null.
 *  - Descriptors (lk_tensor, lk_weight, lk_lora ...) are plain structs that the caller owns and may reuse; a call reads
 *    them and keeps nothing. They own no memory.
 *  - Matrices are row-major; `row_stride` counts elements. Indices are 64-bit everywhere. A dimension may be 0.
 *  - Outputs may not overlap inputs or one another, except where in-place use is named.
 *  - Results are bit-identical from run to run on one machine and one instruction set, for any number of threads.
 *  - A device handle may be used by several threads at once; the caller orders calls that touch the same memory.
 *  - Operations of a CUDA device are queued on its stream and return before they are done; each sees what those queued
 *    before it wrote. What goes wrong on the GPU is reported by a later call. Only calls that give values back to the host
 *    (a copy, lk_quantize with its offset, a sum returned by value) wait.
 */
#ifndef LORA_KERNELS_H
#define LORA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LK_API __attribute__((visibility("default")))
#else
#define LK_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised by one whenever a struct, an enum value or the meaning of a function here changes. */
#define LK_ABI_VERSION 3

typedef enum lk_status {
  LK_OK = 0,
  LK_INVALID_ARGUMENT = 1, /* a null, a negative size, an unknown enum value, a rate outside [0, 1) ... */
  LK_SHAPE_MISMATCH = 2,   /* shapes that do not fit one another */
  LK_UNSUPPORTED = 3,      /* a valid request that this backend or build does not implement */
  LK_OUT_OF_MEMORY = 4,
  LK_BACKEND_UNAVAILABLE = 5, /* no such backend in this build, no driver, no device */
  LK_DEVICE_LOST = 6,         /* the device failed; all that its handle can do is free and close */
  LK_IO_ERROR = 7,            /* a file could not be opened, mapped or read */
  LK_INTERNAL = 8,            /* a defect of this library */
  LK_CANCELLED = 9            /* another thread asked for an end; nothing was changed */
} lk_status;

typedef enum lk_backend { LK_BACKEND_CPU = 0, LK_BACKEND_CUDA = 1 } lk_backend;

typedef enum lk_dtype { LK_F32 = 0, LK_BF16 = 1, LK_F16 = 2, LK_U8 = 3, LK_I32 = 4 } lk_dtype;

/* How the elements of a weight are stored. LK_NF4 and LK_FP4 share one layout and differ in their code book. */
typedef enum lk_format { LK_DENSE = 0, LK_NF4 = 1, LK_FP4 = 2 } lk_format;

typedef uint64_t lk_address;

typedef struct lk_device lk_device;

/* ---- library --------------------------------------------------------------------------------------------------- */

/* LK_ABI_VERSION of the loaded library: a caller compares it with the header it was built against. */
LK_API int32_t lk_abi_version(void);
/* Static strings: the version of the library ("0.1.0"), and how it was built (compiler, CUDA or not). Never null. */
LK_API const char* lk_version(void);
LK_API const char* lk_build_info(void);
/* Static name of a status ("shape mismatch"); never null, also for unknown values. */
LK_API const char* lk_status_name(int32_t status);
/* Message of the last failure on this thread; "" if there was none. Valid until the next failing call on this thread. */
LK_API const char* lk_last_error(void);

/* Threads of the one global pool that all CPU devices share. 0 = one per hardware thread (the default, or what
 * LORA_KERNELS_THREADS says). Waits for running work. Never changes a result. */
LK_API lk_status lk_set_num_threads(int32_t threads);
LK_API int32_t lk_num_threads(void);

/* ---- devices --------------------------------------------------------------------------------------------------- */

typedef struct lk_device_info {
  int32_t backend; /* lk_backend */
  int32_t ordinal; /* CUDA device number; 0 on the CPU */
  int32_t threads; /* CPU: threads of the pool; CUDA: multiprocessors */
  int32_t reserved;
  int64_t total_bytes; /* memory of the device; host memory on the CPU */
  int64_t available_bytes;
  char name[128];   /* processor or card */
  char kernels[32]; /* the kernel table in use: "scalar", "avx2", "avx512", "avx512bf16" */
  char reason[160]; /* why this table: "detected", "forced by LORA_KERNELS_BACKEND=scalar" */
} lk_device_info;

/* Memory obtained through one device handle: live bytes now, most ever, and number of allocations ever made.
 * `workspace` counts what operations take for themselves (cached by the handle and reused), apart from what lk_alloc
 * gave to the caller. Scratch of the pool's threads (a fixed size for each, taken once) is counted in neither. */
typedef struct lk_memory_stats {
  int64_t allocated_bytes, allocated_peak_bytes, allocation_count;
  int64_t workspace_bytes, workspace_peak_bytes, workspace_count;
} lk_memory_stats;

/* Whether a backend can be opened here. Writes a line of reasons (also where it is available) of at most `size` bytes,
 * always terminated; `reason` may be null. Returns LK_OK, or LK_BACKEND_UNAVAILABLE, which sets no lk_last_error. */
LK_API lk_status lk_backend_probe(int32_t backend, char* reason, size_t size);

/* Opens a device. CPU: ordinal must be 0; LORA_KERNELS_BACKEND=scalar|avx2|avx512|avx512bf16 forces a kernel table and a
 * value that this machine cannot run is LK_BACKEND_UNAVAILABLE, never a silent fallback. */
LK_API lk_status lk_device_open(int32_t backend, int32_t ordinal, lk_device** out);
/* Opens CUDA device `ordinal` so that its operations go to the caller's stream instead of one of the handle's own:
 * `stream` is a cudaStream_t (or CUstream) of that GPU as an integer, 0 the legacy default stream. It stays the caller's,
 * and must outlive the handle. Work that the caller queues there and operations of the handle are ordered as they are
 * queued; no other stream is ordered with either. The per-thread default stream (2) is another one in every thread, and
 * refused. The stream may be captured into a CUDA graph: lk_device_synchronize, lk_alloc, copies and calls that return
 * values by the host are not allowed meanwhile, and the same operations must have run once before the capture, so that no
 * workspace has to be allocated (LK_UNSUPPORTED). A graph is replayed on this stream, while the handle and the memory it
 * names live. */
LK_API lk_status lk_device_open_on_stream(int32_t backend, int32_t ordinal, uint64_t stream, lk_device** out);
/* The stream that the operations of a CUDA device go to, as a cudaStream_t in an integer, for others to queue work in the
 * same order. It lives as long as the handle. LK_UNSUPPORTED on the CPU. */
LK_API lk_status lk_device_stream(const lk_device* device, uint64_t* out);
/* Waits for the device, then frees the handle and its workspaces. Memory from lk_alloc still live is NOT freed: close
 * after the last lk_free. A lost device can be closed. Null is allowed. */
LK_API lk_status lk_device_close(lk_device* device);
LK_API lk_status lk_device_query(const lk_device* device, lk_device_info* out);
LK_API lk_status lk_device_memory(const lk_device* device, lk_memory_stats* out);
/* Waits for all work given to the device. Operations of the CPU backend return when they are done: there it does nothing. */
LK_API lk_status lk_device_synchronize(lk_device* device);

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* `bytes` of zeroed device memory, aligned to 64 bytes; 0 bytes give a unique, valid address. LK_OUT_OF_MEMORY says how
 * much was asked for, how much is free, and the peak. */
LK_API lk_status lk_alloc(lk_device* device, int64_t bytes, lk_address* out);
/* Address from lk_alloc of the same device, or 0. Operations queued before still see the memory. Works on a lost device. */
LK_API lk_status lk_free(lk_device* device, lk_address address);
/* Copies between host memory and the device, or (either of them) within the device; ordered after work already given to
 * it, and complete on return. */
LK_API lk_status lk_copy_to_device(lk_device* device, lk_address destination, lk_address host_source, int64_t bytes);
LK_API lk_status lk_copy_to_host(lk_device* device, lk_address host_destination, lk_address source, int64_t bytes);

/* A file mapped read-only (CPU addresses). The address stays valid until lk_file_unmap, also where the file is replaced by
 * rename; shrinking the file in place while it is mapped is undefined, as with every mapping. An empty file maps to 0. */
LK_API lk_status lk_file_map(const char* path_utf8, lk_address* out, int64_t* bytes);
LK_API lk_status lk_file_unmap(lk_address address, int64_t bytes);
/* A part of a mapped file will not be read soon: its whole pages leave the resident memory of the process. Reading them
 * again is allowed, and brings them back. */
LK_API lk_status lk_file_evict(lk_address address, int64_t bytes);

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

/* A dense matrix [rows, cols]; a vector is one row. */
typedef struct lk_tensor {
  lk_address data; /* element (0, 0); may be 0 where rows * cols == 0 */
  int64_t rows, cols;
  int64_t row_stride; /* elements from a row to the next; >= cols */
  int32_t dtype;      /* lk_dtype */
  int32_t reserved;
} lk_tensor;

/* A weight W [rows = N = out_features, cols = K = in_features], dense or in 4 bits.
 *
 * 4-bit layout (bitsandbytes' and Hugging Face's; native/README.md has the rules bit for bit): the tensor is flattened
 * row-major, n = rows * cols; byte i of `data` holds element 2i in its HIGH nibble and 2i + 1 in its LOW one; block b is
 * elements [b * block_size, (b + 1) * block_size) of the flattened tensor, so blocks straddle rows where
 * cols % block_size != 0. element = code_book[nibble] * scale(b), where
 *   scale(b) = absmax[b]                                                     when absmax != 0 (single quantisation)
 *   scale(b) = nested_code[absmax_codes[b]] * nested_absmax[b / nested_block_size] + nested_offset     otherwise. */
typedef struct lk_weight {
  int64_t rows, cols;
  lk_address data;          /* dense: `dtype` [rows, cols]; 4-bit: U8 [(n + 1) / 2] */
  int64_t row_stride;       /* dense: elements, >= cols; 4-bit: ignored */
  lk_address absmax;        /* 4-bit: F32 [ceil(n / block_size)]; 0 when double-quantised */
  lk_address absmax_codes;  /* double-quantised: U8 [ceil(n / block_size)] */
  lk_address nested_absmax; /* double-quantised: F32 [ceil(blocks / nested_block_size)] */
  lk_address
      nested_code;     /* double-quantised: F32 [256], the map of the codes; 0 = the standard one, lk_dynamic_map() */
  float nested_offset; /* double-quantised: mean of the absmax values */
  int32_t block_size;  /* 4-bit: power of two in 32 ... 4096 */
  int32_t nested_block_size; /* double-quantised: 256 */
  int32_t format;            /* lk_format */
  int32_t dtype;             /* dense: LK_F32, LK_BF16 or LK_F16; 4-bit: ignored */
  int32_t reserved;
} lk_weight;

/* A LoRA adapter on a weight [N, K]: delta = scaling * B * A. LoRA: Hu et al. 2021, arXiv:2106.09685; rsLoRA (scaling =
 * alpha / sqrt(rank)): Kalajdzievski 2023, arXiv:2312.03732.
 *
 * Dropout on x is counter-based: element (row, col) of x is kept where word (col % 4) of
 * Philox4x32-10(counter = {col / 4, row low 32 bits, step low 32 bits, step high 32 bits ^ row high 32 bits}, key = seed)
 * is >= floor(dropout * 2^32), and then multiplied by 1 / (1 - dropout). The mask is a function of seed, step and the
 * logical coordinate alone: backward makes it again, no mask is stored. Philox: Salmon et al. 2011. */
typedef struct lk_lora {
  lk_tensor a;      /* [rank, K], F32, BF16 or F16 */
  lk_tensor b;      /* [N, rank], dtype of a */
  lk_tensor grad_a; /* F32 [rank, K]; backward adds to it (+=); data 0: not wanted. Ignored by forward and merge */
  lk_tensor grad_b; /* F32 [N, rank]; as grad_a */
  float scaling;    /* alpha / rank, or alpha / sqrt(rank) */
  float dropout;    /* probability of dropping, [0, 1); 0 = none (also: evaluation) */
  uint64_t seed;    /* of the dropout mask */
  uint64_t step;    /* of the dropout mask: another value, another mask */
} lk_lora;

/* ---- format ---------------------------------------------------------------------------------------------------- */

/* The 16 values of a 4-bit format's code book, and the 256, ascending, of the dynamic 8-bit maps (Dettmers et al. 2021,
 * arXiv:2110.02861): the signed one, of double quantisation and of the first moment of 8-bit optimiser states, and the
 * unsigned one, of the second moment. Host memory. */
LK_API lk_status lk_code_book(int32_t format, float out[16]);
LK_API lk_status lk_dynamic_map(float out[256]);
LK_API lk_status lk_dynamic_map_unsigned(float out[256]);

/* Quantises `source` (F32, BF16 or F16, any row stride) to 4 bits. The caller fills `out` with shape, format, block_size
 * and addresses; `absmax` != 0 asks for single quantisation, `absmax_codes` and `nested_absmax` != 0 with absmax == 0 for
 * double quantisation. Writes the memory they name, and out->nested_offset, for which a GPU is waited for. NF4: Dettmers et
 * al. 2023, arXiv:2305.14314. */
LK_API lk_status lk_quantize(lk_device* device, const lk_tensor* source, lk_weight* out);
/* out [rows, cols] F32, BF16 or F16: code * scale in F32, rounded once. A dense weight is converted. */
LK_API lk_status lk_dequantize(lk_device* device, const lk_weight* weight, const lk_tensor* out);

/* ---- elementwise ----------------------------------------------------------------------------------------------- */

/* Copies between F32, BF16 and F16 (round to nearest even; NaN stays NaN) and between equal dtypes; shapes equal. */
LK_API lk_status lk_convert(lk_device* device, const lk_tensor* source, const lk_tensor* out);
/* out = D ∘ x with the mask of `lora` (its dropout, seed, step; nothing else of it is read). In place allowed. */
LK_API lk_status lk_dropout(lk_device* device, const lk_tensor* x, const lk_lora* lora, const lk_tensor* out);

/* ---- matmul ---------------------------------------------------------------------------------------------------- */
/* x, y, dx, dy: F32, BF16 or F16, the same dtype in one call; sums are kept in F32. On the CPU the dequantised weight is never
 * held whole and workspace is at most 2 MiB; on CUDA a product of many rows dequantises a panel of it at a time, and
 * workspace is at most 64 MiB. With BF16 or F16 activations a kernel may round dequantised weights to their type once.
 * bias: [1, N], F32 or the dtype of y; null = none. */

/* y [M, N] = x [M, K] * W^T + bias */
LK_API lk_status lk_matmul(lk_device* device, const lk_tensor* x, const lk_weight* weight, const lk_tensor* bias,
                           const lk_tensor* y);
/* dx [M, K] = dy [M, N] * W */
LK_API lk_status lk_matmul_transposed(lk_device* device, const lk_tensor* dy, const lk_weight* weight,
                                      const lk_tensor* dx);

/* ---- LoRA ------------------------------------------------------------------------------------------------------ */

/* y [M, N] = x * W^T + bias + scaling * ((D ∘ x) * A^T) * B^T. Rank 1 ... 256. */
LK_API lk_status lk_lora_forward(lk_device* device, const lk_tensor* x, const lk_weight* weight, const lk_tensor* bias,
                                 const lk_lora* lora, const lk_tensor* y);
/* With S = (D ∘ x) * A^T made again and dS = scaling * dy * B:
 *   grad_b += scaling * dy^T * S;  grad_a += dS^T * (D ∘ x);  dx [M, K] = dy * W + D ∘ (dS * A).
 * dx null: not wanted. Deterministic: no atomics, sums in a fixed order. */
LK_API lk_status lk_lora_backward(lk_device* device, const lk_tensor* x, const lk_tensor* dy, const lk_weight* weight,
                                  const lk_lora* lora, const lk_tensor* dx);

/* out [N, K] (F32, BF16 or F16) = weight + sign * scaling * B * A, summed in F32 and rounded once; sign +1 merges, -1
 * unmerges. out may be the memory of a dense weight itself (same dtype and stride). Dropout does not apply. */
LK_API lk_status lk_merge(lk_device* device, const lk_weight* weight, const lk_lora* lora, float sign,
                          const lk_tensor* out);
/* The same into 4 bits: dequantise, add, quantise again; `out` as for lk_quantize. out's memory must not overlap weight's. */
LK_API lk_status lk_merge_quantized(lk_device* device, const lk_weight* weight, const lk_lora* lora, float sign,
                                    lk_weight* out);

#ifdef __cplusplus
}
#endif

#endif /* LORA_KERNELS_H */
