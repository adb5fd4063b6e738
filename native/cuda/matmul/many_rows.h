// Products of many rows of 16-bit activations with a weight: many_rows.cu.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device.h"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {

// Whether gemm16.cu can serve `left` (x or, `transposed`, dy) and this weight, without rounding more than lora_kernels.h allows
// and within the workspace that it promises.
bool many_rows_can(const lk_tensor& left, const lk_weight& weight, bool transposed);
// Bytes of workspace, rank 0: no adapter. At most kMaxPanelBytes, and many_rows_bytes_of_row for each row.
int64_t many_rows_bytes(const lk_tensor& left, const lk_weight& weight, bool transposed, int64_t rank);
int64_t many_rows_bytes_of_row(int64_t rank);
// out = left * W^T (transposed: left * W) + bias + adapter; bias may be null. memory: many_rows_bytes, aligned to 256 bytes
void multiply_many_rows(CudaDevice& device, const lk_tensor& left, const lk_weight& weight, bool transposed,
                        const lk_tensor* bias, const Adapter& adapter, const lk_tensor& out, std::byte* memory);
// out F32 += left^T * right, summed over rows; both BF16 or both F16
void add_token_product_16(CudaDevice& device, const lk_tensor& left, const lk_tensor& right, const lk_tensor& out);

}  // namespace lk::cuda
