// The CPU kernel tables, and which one this machine gets.
//
// Every operation family has one folder with a body written once and one file per instruction set; each file exports one
// install function that puts its entries into a table. A table is built by installing scalar first, then every instruction
// set up to its own, so that an operation without a faster version keeps the one below.
#pragma once

#include <string>

#include "common/kernel_table.h"

namespace lk::cpu {

enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Bf16 };

// Quantise, dequantise (folder quantize/), convert, dropout, sums and products of elements (elementwise/), matmul, LoRA and
// gradients of dense weights (matmul/), merge and norms of merged rows (merge/), AdamW (adamw/), gated activations (glu/),
// RMS norm (norm/), rotary embedding (rope/), token embedding (embedding/), sums over rows and elements (reduce/),
// combinations of several tensors (combine/), attention (attention/), the head and its loss (cross_entropy/).
void install_quantize_scalar(KernelTable&);
void install_quantize_avx2(KernelTable&);
void install_quantize_avx512(KernelTable&);
void install_elementwise_scalar(KernelTable&);
void install_elementwise_avx2(KernelTable&);
void install_elementwise_avx512(KernelTable&);
void install_matmul_scalar(KernelTable&);
void install_matmul_avx2(KernelTable&);
void install_matmul_avx512(KernelTable&);
void install_matmul_avx512bf16(KernelTable&);
void install_merge_scalar(KernelTable&);
void install_merge_avx2(KernelTable&);
void install_merge_avx512(KernelTable&);
void install_adamw_scalar(KernelTable&);
void install_adamw_avx2(KernelTable&);
void install_adamw_avx512(KernelTable&);
void install_combine_scalar(KernelTable&);
void install_combine_avx2(KernelTable&);
void install_combine_avx512(KernelTable&);
void install_glu_scalar(KernelTable&);
void install_glu_avx2(KernelTable&);
void install_glu_avx512(KernelTable&);
void install_norm_scalar(KernelTable&);
void install_norm_avx2(KernelTable&);
void install_norm_avx512(KernelTable&);
void install_rope_scalar(KernelTable&);
void install_rope_avx2(KernelTable&);
void install_rope_avx512(KernelTable&);
void install_embedding_scalar(KernelTable&);
void install_embedding_avx2(KernelTable&);
void install_embedding_avx512(KernelTable&);
void install_reduce_scalar(KernelTable&);
void install_reduce_avx2(KernelTable&);
void install_reduce_avx512(KernelTable&);
void install_attention_scalar(KernelTable&);
void install_attention_avx2(KernelTable&);
void install_attention_avx512(KernelTable&);
void install_cross_entropy_scalar(KernelTable&);
void install_cross_entropy_avx2(KernelTable&);
void install_cross_entropy_avx512(KernelTable&);

// AVX2 means AVX2, FMA and F16C. AVX-512 means F, BW, DQ, VL and VBMI (Ice Lake, Zen 4 and later); with BF16 the dot
// product on top of it (Cooper Lake with VBMI, Sapphire Rapids, Zen 4).
bool supported(Isa isa);
const KernelTable& table(Isa isa);

// The table for a new device: the best supported one, or what LORA_KERNELS_BACKEND names; throws
// Error(LK_BACKEND_UNAVAILABLE) where that cannot run here or is not a name. Sets `reason`.
const KernelTable& select(std::string& reason);

}  // namespace lk::cpu
