// The entries of this folder, and what their launches share.
#pragma once

#include "cuda/attention/sequences.cuh"
#include "cuda/backend.h"

namespace lk::cuda {

void attention_forward(Device& device, const lk_attention& attention, const lk_tensor& y, const lk_tensor* log_sum_exp);
void attention_backward(Device& device, const lk_attention& attention, const lk_tensor& y, const lk_tensor& dy,
                        const lk_tensor& log_sum_exp, const lk_tensor& dq, const lk_tensor& dk, const lk_tensor& dv);

AttentionArgs attention_args(Device& device, const lk_attention& attention, const char* operation, bool backward);

// One block for each key head and tile that sequences could have whose rows are `rows` together, and one that finds none.
inline dim3 attention_grid(const AttentionArgs& args, int64_t rows, int64_t tile_rows) {
  return dim3(static_cast<unsigned>((rows / tile_rows + args.sequence_count + 1) * args.kv_heads));
}

}  // namespace lk::cuda
