// Products of a few rows of 16-bit activations and a 4-bit weight, decoded on its way to the tensor cores: packed.cu.
#pragma once

#include "cuda/device.h"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {

// Whether packed.cu serves x (or dy) and the weight: at most kPackedRows rows, columns of the weight a multiple of 32, its data at a multiple of
// 16 bytes.
bool packed_can(const lk_tensor& x, const lk_weight& weight);
// `product`: x * W^T (transposed: x * W) with its epilogue and adapter. partials: kMaxPartialBytes
void multiply_packed(CudaDevice& device, const lk_tensor& x, const lk_weight& weight, bool transposed,
                     const Product& product, const PackedChoice& choice, float* partials);

}  // namespace lk::cuda
