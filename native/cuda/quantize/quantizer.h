// Quantising to 4 bits, a piece of the tensor at a time: what quantize and merge_quantized share.
#pragma once

#include <cstdint>
#include <optional>

#include "common/device.h"
#include "lora_kernels.h"

namespace lk::cuda {

class BlockQuantizer {
 public:
  // `out` must outlive it. Takes a workspace for the absmax values of a double-quantised weight.
  BlockQuantizer(Device& device, lk_weight& out);

  // Elements [element, element + rows * cols) of the flattened tensor are those of `source`, row-major, F32, BF16 or F16.
  // `element` and, but for the end of the tensor, their number are multiples of kMaxBlockSize.
  void quantize(const lk_tensor& source, int64_t element);

  // After the last piece: quantises the absmax values where that was asked for, and waits for their mean.
  void finish();

 private:
  Device& device_;
  lk_weight& out_;
  std::optional<Workspace> held_;
  float* absmax_;
};

// Writes out's absmax_codes, nested_absmax and nested_offset from absmax[0 ... blocks), device memory, with the room for
// sums that nested_scratch_floats() asks for behind it. Waits for the offset.
void double_quantize(Device& device, float* absmax, int64_t blocks, lk_weight& out);
int64_t nested_scratch_floats(int64_t blocks);

void dequantize(Device& device, const lk_weight& weight, const lk_tensor& out);

}  // namespace lk::cuda
